package trust_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// mutation is one check that is taken out of the source.
type mutation struct {
	where string // file:line, function
	what  string
}

// mutator takes checks out of Go source, one a mutation: the source that it makes has all of them, and a variable that
// says which one is out. Only a copy in a test's directory is ever changed.
type mutator struct {
	fset   *token.FileSet
	source []byte
	name   string // of the file
	inside string // the function
	fails  bool   // its last result is an error
	many   bool   // it has others, too
	skip   func(function string) bool
	edits  []edit
	all    *[]mutation
}

// edit puts text before and behind a piece of source.
type edit struct {
	from, to      int
	before, after string
}

// mutate rewrites a file for all mutations of it, which are added to all.
func mutate(t *testing.T, path, name string, skip func(string) bool, all *[]mutation) []byte {
	t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m := &mutator{fset: token.NewFileSet(), source: source, name: name, skip: skip, all: all}
	f, err := parser.ParseFile(m.fset, path, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && !skip(fn.Name.Name) {
			m.function(fn)
		}
	}
	if len(m.edits) == 0 {
		return source
	}
	end := m.at(f.Name.End())
	m.edits = append(m.edits, edit{end, end, "", "\n\nimport \"github.com/ocellus/ocellus/mutant\"\n"})
	return m.apply()
}

func (m *mutator) at(p token.Pos) int { return m.fset.Position(p).Offset }

func (m *mutator) function(fn *ast.FuncDecl) {
	m.inside, m.fails = fn.Name.Name, false
	if r := fn.Type.Results; r != nil {
		m.many = r.NumFields() > 1
		last, ok := r.List[len(r.List)-1].Type.(*ast.Ident)
		m.fails = ok && last.Name == "error"
	}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt:
			m.condition(n.Cond, "if")
		case *ast.SwitchStmt:
			if n.Tag == nil {
				for _, c := range n.Body.List {
					m.clause(c.(*ast.CaseClause))
				}
			}
		case *ast.ReturnStmt:
			m.result(n)
		}
		return true
	})
}

// clause takes a case away. One that accepts is also made to accept everything.
func (m *mutator) clause(c *ast.CaseClause) {
	for _, cond := range c.List {
		m.condition(cond, "case")
		if r, ok := c.Body[len(c.Body)-1].(*ast.ReturnStmt); ok && m.fails && accepts(r) {
			m.always(cond, true, "case always")
		}
	}
}

func accepts(r *ast.ReturnStmt) bool {
	last, ok := r.Results[len(r.Results)-1].(*ast.Ident)
	return ok && last.Name == "nil"
}

// condition makes a condition never hold, and takes its parts away one by one.
func (m *mutator) condition(cond ast.Expr, what string) {
	m.always(cond, false, what+" never")
	m.parts(cond)
}

// parts takes the operands of && and || away.
func (m *mutator) parts(e ast.Expr) {
	b, ok := ast.Unparen(e).(*ast.BinaryExpr)
	if !ok || b.Op != token.LAND && b.Op != token.LOR {
		return
	}
	for _, side := range []ast.Expr{b.X, b.Y} {
		inner, ok := side.(*ast.BinaryExpr)
		if ok && inner.Op == b.Op {
			m.parts(side)
			continue
		}
		m.always(side, b.Op == token.LAND, "part gone")
		m.parts(side)
	}
}

// result lets an error that is handed on be none, and an answer of yes or no be yes.
func (m *mutator) result(r *ast.ReturnStmt) {
	if len(r.Results) == 0 {
		return
	}
	last := r.Results[len(r.Results)-1]
	switch e := last.(type) {
	case *ast.CallExpr:
		makes := slices.ContainsFunc([]string{"refuse(", "p.fault(", "fmt.", "errors.", "about("}, // a check stands before it
			func(s string) bool { return strings.HasPrefix(m.text(e), s) })
		if handsOn := len(r.Results) == 1 && m.many; m.fails && !makes && !handsOn {
			m.wrap(last, "mutant.Gone(%d, ", ")", "error dropped")
		}
	case *ast.BinaryExpr:
		if !m.fails && slices.Contains([]token.Token{token.GEQ, token.LAND, token.LOR, token.EQL, token.GTR}, e.Op) {
			m.always(last, true, "always yes")
			m.always(last, false, "always no")
			m.parts(last)
		}
	}
}

func (m *mutator) text(n ast.Node) string { return string(m.source[m.at(n.Pos()):m.at(n.End())]) }

func (m *mutator) always(e ast.Expr, holds bool, what string) {
	if holds {
		m.wrap(e, "(mutant.Now == %d || (", "))", what)
	} else {
		m.wrap(e, "(mutant.Now != %d && (", "))", what)
	}
}

func (m *mutator) wrap(e ast.Expr, before, after, what string) {
	text := strings.Join(strings.Fields(m.text(e)), " ")
	m.edits = append(m.edits, edit{m.at(e.Pos()), m.at(e.End()), fmt.Sprintf(before, len(*m.all)), after})
	*m.all = append(*m.all, mutation{
		where: fmt.Sprintf("%s:%d %s", m.name, m.fset.Position(e.Pos()).Line, m.inside),
		what:  fmt.Sprintf("%s: %s", what, text),
	})
}

// apply writes the source with all edits. Those that begin together nest: the longer one is outside.
func (m *mutator) apply() []byte {
	opening, closing := map[int]string{}, map[int]string{}
	slices.SortStableFunc(m.edits, func(a, b edit) int { return (b.to - b.from) - (a.to - a.from) })
	for _, e := range m.edits {
		opening[e.from] += e.before
		closing[e.to] = e.after + closing[e.to]
	}
	var out []byte
	for i := 0; i <= len(m.source); i++ {
		out = append(out, closing[i]...)
		out = append(out, opening[i]...)
		if i < len(m.source) {
			out = append(out, m.source[i])
		}
	}
	return out
}
