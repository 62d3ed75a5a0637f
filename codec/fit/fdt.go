package fit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// The flattened devicetree (Devicetree Specification 0.4, chapter 5), as much of it as a FIT is.
const (
	fdtMagic   = 0xd00dfeed
	fdtHeader  = 40
	fdtReserve = 16 // the empty list of reserved memory
	tokenBegin = 1
	tokenEnd   = 2
	tokenProp  = 3
	tokenNop   = 4
	tokenLast  = 9
	maxDepth   = 8
	maxNodes   = 256
)

// property of a node. at is where its value lies in the blob it was parsed from.
type property struct {
	name  string
	value []byte
	at    int
}

// node of the tree; properties and children in their order in the blob.
type node struct {
	name       string
	properties []property
	children   []*node
}

func (n *node) child(name string) *node {
	for _, c := range n.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (n *node) property(name string) (property, bool) {
	for _, p := range n.properties {
		if p.name == name {
			return p, true
		}
	}
	return property{}, false
}

// text returns a property that is one string, "" if there is none.
func (n *node) text(name string) string {
	p, _ := n.property(name)
	s, ended := bytes.CutSuffix(p.value, []byte{0})
	if !ended || bytes.IndexByte(s, 0) >= 0 {
		return ""
	}
	return string(s)
}

func (n *node) cell(name string) uint32 {
	p, _ := n.property(name)
	if len(p.value) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(p.value)
}

func (n *node) set(name string, value []byte) {
	n.properties = append(n.properties, property{name: name, value: value})
}
func (n *node) setText(name, value string)    { n.set(name, append([]byte(value), 0)) }
func (n *node) setCell(name string, v uint32) { n.set(name, binary.BigEndian.AppendUint32(nil, v)) }

func (n *node) add(name string) *node {
	c := &node{name: name}
	n.children = append(n.children, c)
	return c
}

// blob flattens a tree.
func (n *node) blob() []byte {
	f := flattener{names: map[string]uint32{}}
	f.node(n)
	f.cell(tokenLast)
	strings := fdtHeader + fdtReserve + len(f.structure)
	head := make([]byte, 0, fdtHeader+fdtReserve)
	for _, v := range []uint32{fdtMagic, uint32(strings + len(f.strings)), fdtHeader + fdtReserve, uint32(strings),
		fdtHeader, 17, 16, 0, uint32(len(f.strings)), uint32(len(f.structure))} {
		head = binary.BigEndian.AppendUint32(head, v)
	}
	head = head[:cap(head)]
	return append(append(head, f.structure...), f.strings...)
}

type flattener struct {
	structure, strings []byte
	names              map[string]uint32
}

func (f *flattener) cell(v uint32) { f.structure = binary.BigEndian.AppendUint32(f.structure, v) }

func (f *flattener) pad() {
	for len(f.structure)%4 > 0 {
		f.structure = append(f.structure, 0)
	}
}

func (f *flattener) node(n *node) {
	f.cell(tokenBegin)
	f.structure = append(f.structure, n.name...)
	f.structure = append(f.structure, 0)
	f.pad()
	for _, p := range n.properties {
		at, ok := f.names[p.name]
		if !ok {
			at = uint32(len(f.strings))
			f.names[p.name] = at
			f.strings = append(f.strings, p.name...)
			f.strings = append(f.strings, 0)
		}
		f.cell(tokenProp)
		f.cell(uint32(len(p.value)))
		f.cell(at)
		f.structure = append(f.structure, p.value...)
		f.pad()
	}
	for _, c := range n.children {
		f.node(c)
	}
	f.cell(tokenEnd)
}

// parseTree reads a blob. Values are parts of it, not copies.
func parseTree(b []byte) (*node, error) {
	if len(b) < fdtHeader+fdtReserve || binary.BigEndian.Uint32(b) != fdtMagic {
		return nil, errors.New("no flattened devicetree")
	}
	var h [10]uint32
	_, _ = binary.Decode(b, binary.BigEndian, &h)
	size, structure, names := int64(h[1]), int64(h[2]), int64(h[3])
	if size > int64(len(b)) || h[5] < 17 || h[6] > 17 || structure+int64(h[9]) > size || names+int64(h[8]) > size ||
		structure < fdtHeader || structure%4 != 0 {
		return nil, errors.New("impossible header")
	}
	p := parser{b: b[:structure+int64(h[9])], at: int(structure), names: b[names : names+int64(h[8])]}
	if t, err := p.token(); err != nil || t != tokenBegin {
		return nil, errors.New("no root node")
	}
	return p.node(0)
}

type parser struct {
	b, names  []byte
	at, nodes int
}

func (p *parser) cell() (uint32, error) {
	if p.at+4 > len(p.b) {
		return 0, errors.New("the structure ends too early")
	}
	p.at += 4
	return binary.BigEndian.Uint32(p.b[p.at-4:]), nil
}

func (p *parser) token() (uint32, error) {
	for {
		if t, err := p.cell(); err != nil || t != tokenNop {
			return t, err
		}
	}
}

// node reads what follows a begin token.
func (p *parser) node(depth int) (*node, error) {
	if p.nodes++; depth > maxDepth || p.nodes > maxNodes {
		return nil, errors.New("too many nodes")
	}
	name, _, ended := bytes.Cut(p.b[p.at:], []byte{0})
	if !ended || len(name) > 255 {
		return nil, errors.New("node without a name")
	}
	p.skip(len(name) + 1)
	n := &node{name: string(name)}
	for {
		t, err := p.token()
		if err != nil {
			return nil, err
		}
		switch t {
		case tokenEnd:
			return n, nil
		case tokenProp:
			err = p.property(n)
		case tokenBegin:
			var c *node
			c, err = p.node(depth + 1)
			n.children = append(n.children, c)
		default:
			err = fmt.Errorf("token %d", t)
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *parser) property(n *node) error {
	size, err := p.cell()
	if err != nil {
		return err
	}
	at, err := p.cell()
	if err != nil {
		return err
	}
	if int64(size) > int64(len(p.b)-p.at) || int64(at) >= int64(len(p.names)) || len(n.properties) > 64 {
		return errors.New("impossible property")
	}
	name, _, ended := strings.Cut(string(p.names[at:min(int(at)+256, len(p.names))]), "\x00")
	if !ended {
		return errors.New("property without a name")
	}
	n.properties = append(n.properties, property{name, p.b[p.at : p.at+int(size)], p.at})
	p.skip(int(size))
	return nil
}

// skip goes over n bytes and the padding behind them.
func (p *parser) skip(n int) { p.at = min(p.at+(n+3)&^3, len(p.b)) }
