// Package layers holds the floors of the house: a test that reads the imports of every package of the module, with
// every build constraint, and compares them with the table in layers_test.go. Imports go down only.
//
// A new row, or a new word in a row, needs its reason beside it, in the same commit.
package layers
