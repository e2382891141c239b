package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release and commit are set by the linker where a release is built:
//
//	go build -ldflags "-X main.release=1.2.3 -X main.commit=0123456789ab"
var release, commit string

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long: `Print the version, the commit that it was built from where that is known, the
release of Go that built it, and the system that it is for.`,
		Example: "  imbrouter version",
		Args:    withUsage(cobra.NoArgs),
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintf(cmd.OutOrStdout(), "imbrouter %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		},
	}
}

// version is the release and its commit. What is no release has the version of the
// module, in which Go notes the commit.
func version() string {
	if release != "" {
		return fmt.Sprintf("%s (%s)", release, commit)
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}
