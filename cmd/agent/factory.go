package main

import (
	"context"
	"time"

	"github.com/ocellus/ocellus/access"
)

// factoryCommands are the rows of whoever makes the cameras (docs/factory.md). An owner may everything, but for a
// camera that has one they answer "done".
func (a *agent) factoryCommands() []command {
	return []command{
		{"factory.label", access.Make, 5 * time.Second, with(a.factoryLabel)},
		{"factory.done", access.Make, 5 * time.Second, with(a.factoryDone)},
	}
}

// factoryLabel is the answer to factory.label. The text holds the setup secret: it never reaches a log.
type factoryLabelled struct {
	Text    string `json:"text"` // codec/label
	Model   string `json:"model"`
	Release string `json:"release"`
}

func (a *agent) factoryLabel(context.Context, none) (any, error) {
	if a.owner == nil {
		return nil, errNoControl
	}
	l, err := a.owner.FactoryLabel()
	if err != nil {
		return nil, err
	}
	text, err := l.Text()
	return factoryLabelled{text.Reveal(), l.Model, release}, err
}

// factoryDone is said once the label is on the camera.
func (a *agent) factoryDone(context.Context, none) (any, error) {
	if a.owner == nil {
		return nil, errNoControl
	}
	return none{}, a.owner.LeaveFactory()
}
