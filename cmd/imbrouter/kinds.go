package main

import (
	"imbrouter/router/config"
	dirsink "imbrouter/sinks/dir"
	imbsink "imbrouter/sinks/imb"
	logsink "imbrouter/sinks/log"
	dirsource "imbrouter/sources/dir"
	imbsource "imbrouter/sources/imb"
)

// kinds are the types of sources and sinks that a configuration may name.
var kinds = config.Kinds{
	Sources: map[string]func() config.Source{
		"dir": func() config.Source { return dirsource.NewConfig() },
		"imb": func() config.Source { return imbsource.NewConfig() },
	},
	Sinks: map[string]func() config.Sink{
		"dir": func() config.Sink { return dirsink.NewConfig() },
		"imb": func() config.Sink { return imbsink.NewConfig() },
		"log": func() config.Sink { return logsink.NewConfig() },
	},
}
