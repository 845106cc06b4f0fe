package provider

import (
	"regexp"
	"sync"
)

// Shape is how a text must look, a regular expression that is compiled with its first use: most functions link all that
// providers ask of their fields and look at none, and a bound such as {1,512} is compiled to five hundred steps.
type Shape struct{ compiled func() *regexp.Regexp }

// NewShape returns the shape of a pattern. A pattern that is none panics when it is used, so each has a test.
func NewShape(pattern string) Shape {
	return Shape{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })}
}

// MatchString reports whether a text has the shape. It is safe for concurrent use.
func (s Shape) MatchString(text string) bool { return s.compiled().MatchString(text) }
