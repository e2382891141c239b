package wire

import (
	"fmt"
	"strconv"
	"strings"
)

// The names of events that clients agree on, without the federation.
const (
	// FocusEvent tells where people look: a changeObject event with FocusData.
	FocusEvent = "Focus"
	// SessionEvent tells that people go over to another federation: a
	// changeObject event with ActionChange, the id of the federation, and its
	// name as the attribute.
	SessionEvent = "META_CurrentSession"
)

// FocusData is the data of an event named FocusEvent.
type FocusData struct{ X, Y float64 }

// AppendFocus appends the data of an event named FocusEvent.
func AppendFocus(dst []byte, f FocusData) []byte {
	return AppendFloat64(AppendFloat64(dst, f.X), f.Y)
}

// ParseFocus decodes the data of an event named FocusEvent.
func ParseFocus(data []byte) (FocusData, error) {
	d := NewDecoder(data)
	f := FocusData{X: d.Float64(), Y: d.Float64()}
	return f, d.End()
}

// ModelState is what a model does. Numbers without a name are its own.
type ModelState int32

// The states of models.
const (
	ModelReady       ModelState = 0
	ModelCalculating ModelState = 1
	ModelBusy        ModelState = 2
)

// String returns "ready", "calculating" or "busy", or the number of another
// state.
func (s ModelState) String() string {
	switch s {
	case ModelReady:
		return "ready"
	case ModelCalculating:
		return "calculating"
	case ModelBusy:
		return "busy"
	}
	return strconv.Itoa(int(s))
}

// ModelStatus is the value of the variable in which a model tells its status.
type ModelStatus struct {
	State    ModelState
	Progress int32
}

// AppendModelStatus appends the value of such a variable.
func AppendModelStatus(dst []byte, s ModelStatus) []byte {
	return AppendInt32(AppendInt32(dst, int32(s.State)), s.Progress)
}

// ParseModelStatus decodes the value of such a variable.
func ParseModelStatus(value []byte) (ModelStatus, error) {
	d := NewDecoder(value)
	s := ModelStatus{State: ModelState(d.Int32()), Progress: d.Int32()}
	return s, d.End()
}

// modelStatusSuffix ends the names of these variables.
const modelStatusSuffix = "|ModelStatus"

// variablePrefixLength is how long the prefix of a variable is that belongs to a
// client.
const variablePrefixLength = 8

// VariablePrefix returns what the names of a client's own variables begin with:
// its unique client id, or its handle, as eight upper-case hexadecimal digits.
func VariablePrefix(id uint32) string { return fmt.Sprintf("%0*X", variablePrefixLength, id) }

// ModelStatusName returns the name of the variable with the status of a model,
// "federation.owner name", without the prefix that the hub puts before it.
func ModelStatusName(model string) string { return model + modelStatusSuffix }

// ParseModelStatusName tells whether a variable holds the status of a model, of
// which, and of which client.
func ParseModelStatusName(name string) (clientID uint32, model string, ok bool) {
	name, ok = strings.CutSuffix(name, modelStatusSuffix)
	if !ok || len(name) < variablePrefixLength {
		return 0, "", false
	}
	id, err := strconv.ParseUint(name[:variablePrefixLength], 16, 32)
	if err != nil {
		return 0, "", false
	}
	return uint32(id), name[variablePrefixLength:], true
}
