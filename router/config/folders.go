package config

import (
	"cmp"
	"fmt"
	"slices"
)

// folders reports sources that read, and sinks that write, the same folder, and
// those where one would remove what the other has yet to deal with.
func (l *loader) folders() {
	sources := l.folderParts("sources", l.sources)
	for i, b := range sources {
		for _, a := range sources[:i] {
			if fault := l.sharedSource(a, b); fault != "" {
				l.problem(b.at, "%s", fault)
			}
		}
	}
	sinks := l.folderParts("sinks", l.sinks)
	for i, b := range sinks {
		for _, a := range sinks[:i] {
			if sameFolder(a.Folder, b.Folder) {
				l.problem(b.at, "%s writes to folder %s already (line %d); use another folder, or lead the routes to that sink instead",
					a.header, l.folderName(a.Folder), l.line(a.at))
			}
		}
		for _, a := range sources {
			if fault := l.removed(a, b); fault != "" {
				l.problem(b.at, "%s", fault)
			}
		}
	}
}

// folderPart is a source or sink with a folder.
type folderPart struct {
	Traffic
	header string // of its table
	at     int    // where its path stands
}

// folderParts returns the parts with folders in the order of the file.
func (l *loader) folderParts(section string, traffic map[string]Traffic) (all []folderPart) {
	for _, name := range sortedKeys(traffic) {
		if t := traffic[name]; t.Folder != "" {
			all = append(all, folderPart{t, header([]string{section, name}), l.placeOf(section, name, "path").value})
		}
	}
	slices.SortStableFunc(all, func(a, b folderPart) int { return cmp.Compare(a.at, b.at) })
	return all
}

// sharedSource tells how two sources, of which b stands behind a, get into each
// other's way; "" when they do not.
func (l *loader) sharedSource(a, b folderPart) string {
	line := l.line(a.at)
	switch {
	case sameFolder(a.Folder, b.Folder):
		return fmt.Sprintf("%s sends from folder %s already (line %d); use another folder, or one source in several routes",
			a.header, l.folderName(a.Folder), line)
	case a.reads(b.Folder):
		return fmt.Sprintf("folder %s lies in the folder of %s (line %d), which would send its files too, and those that are moved away in it once more; "+
			"exclude it there, set recursive = false there, or use another folder", l.folderName(b.Folder), a.header, line)
	case b.reads(a.Folder):
		return fmt.Sprintf("folder %s of %s (line %d) lies in this one: its files would be sent from here too, and those that are moved away in it once more; "+
			"exclude it here, set recursive = false here, or use another folder", l.folderName(a.Folder), a.header, line)
	}
	for _, pair := range [][2]folderPart{{a, b}, {b, a}} {
		mover, reader := pair[0], pair[1]
		for _, moved := range mover.Moved {
			if lies(reader.Folder, moved) {
				return fmt.Sprintf("%s has folder %s for the files that it is done with, from where %s would send them again (lines %d and %d); use another folder",
					mover.header, l.folderName(moved), reader.header, l.line(a.at), l.line(b.at))
			}
		}
	}
	return ""
}

// removed tells how a source or a sink would remove what the other brings it;
// "" when they do not.
func (l *loader) removed(source, sink folderPart) string {
	if sink.Removes && (lies(source.Folder, sink.Folder) || source.reads(sink.Folder)) {
		return fmt.Sprintf("received files would be removed after a time, and %s (line %d) may not have sent them yet from folder %s; "+
			"remove received_max_age and received_max_size here, and limit sent_max_age or sent_max_size there, or use another folder",
			source.header, l.line(source.at), l.folderName(source.Folder))
	}
	for _, moved := range source.Moved {
		if source.Removes && lies(sink.Folder, moved) {
			return fmt.Sprintf("%s (line %d) removes old files from folder %s, received ones as well; use another folder",
				source.header, l.line(source.at), l.folderName(moved))
		}
	}
	return ""
}

// reads tells whether a source takes files that lie in a folder.
func (t Traffic) reads(folder string) bool {
	rel, ok := below(folder, t.Folder)
	return ok && (rel == "." || t.Reads == nil || t.Reads(rel))
}

func sameFolder(a, b string) bool { return lies(a, b) && lies(b, a) }

// folderName returns how a folder is named in messages: as in the file where it
// is relative there.
func (l *loader) folderName(path string) string {
	if rel, ok := below(path, l.config.Dir); ok {
		path = rel
	}
	return fmt.Sprintf("%q", path)
}

// line returns the number of the line at an offset of the text.
func (l *loader) line(offset int) int { return l.problemAt(offset, "").Line }
