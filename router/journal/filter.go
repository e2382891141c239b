package journal

import (
	"fmt"
	"slices"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"imbrouter/imb/wire"
)

// Filter chooses records. A field that is empty chooses all.
type Filter struct {
	Route, Source, Sink string
	Event               string // full name, without regard to case
	Name                string // a glob for the stream's name; "**" matches "/" too
	Outcomes            []Outcome
	Since, Until        time.Time // from the first on, and before the second
}

// Check tells what is wrong with the filter.
func (f Filter) Check() error {
	if !doublestar.ValidatePattern(f.Name) {
		return fmt.Errorf("%q is no pattern for names; write a backslash before a bracket or brace that stands for itself", f.Name)
	}
	return nil
}

// Matches tells whether the filter chooses a record.
func (f Filter) Matches(r Record) bool {
	return (f.Route == "" || f.Route == r.Route) &&
		(f.Source == "" || f.Source == r.Source) &&
		(f.Sink == "" || f.Sink == r.Sink) &&
		(f.Event == "" || wire.FoldName(f.Event) == wire.FoldName(r.Event)) &&
		(f.Name == "" || doublestar.MatchUnvalidated(f.Name, r.Name)) &&
		(len(f.Outcomes) == 0 || slices.Contains(f.Outcomes, r.Outcome)) &&
		(f.Since.IsZero() || !r.Time.Before(f.Since)) &&
		(f.Until.IsZero() || r.Time.Before(f.Until))
}
