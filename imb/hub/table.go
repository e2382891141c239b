package hub

// smallIDs bounds the part of a table that is a slice. Known clients number
// their events from 0 on; larger ids are as good but take a map.
const smallIDs = 1024

// table finds a connection's link by the client's own event id.
type table struct {
	small []*link
	large map[int32]*link
	used  int // ids in the table
}

func (t *table) get(id int32) *link {
	if uint32(id) < uint32(len(t.small)) {
		return t.small[id]
	}
	return t.large[id]
}

// set gives an id, at least 0, a meaning; nil takes it away.
func (t *table) set(id int32, l *link) {
	before := t.get(id)
	switch {
	case before == nil && l != nil:
		t.used++
	case before != nil && l == nil:
		t.used--
	}
	switch {
	case id >= smallIDs && l == nil:
		delete(t.large, id)
	case id >= smallIDs:
		if t.large == nil {
			t.large = make(map[int32]*link)
		}
		t.large[id] = l
	default:
		for int(id) >= len(t.small) {
			t.small = append(t.small, nil)
		}
		t.small[id] = l
	}
}
