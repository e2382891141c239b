package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"imbrouter/router/config"
)

// starts are the configurations that init writes.
//
//go:embed init/*.toml
var starts embed.FS

// schemaFile is the schema that a configuration from init names, in its folder.
const schemaFile = "imbrouter.schema.json"

// startKinds are their names, in the order of the help.
var startKinds = []string{"drop", "collect", "relay"}

func initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init drop|collect|relay [FILE]",
		Short: "Write a configuration to start from",
		Long: `Write a configuration to start from, with comments, into FILE (imbrouter.toml
when it is left out), and beside it the schema that it names for editors. A file that
exists is left as it is.

  drop     a folder whose files are broadcast, and a hub
  collect  a folder that collects the streams of a federation
  relay    signals from one federation to another, filtered and renamed`,
		Example: `  imbrouter init drop
  imbrouter init collect collect.toml`,
		Args:      withUsage(cobra.RangeArgs(1, 2)),
		ValidArgs: startKinds,
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := starts.ReadFile("init/" + args[0] + ".toml")
			if err != nil {
				return usage(cmd, fmt.Errorf("there is no %q to start from; choose one of %s", args[0], strings.Join(startKinds, ", ")))
			}
			path := "imbrouter.toml"
			if len(args) > 1 {
				path = args[1]
			}
			if path == "" {
				return usage(cmd, errors.New("FILE is empty"))
			}
			start := "#:schema " + schemaFile + "\n\n" + strings.ReplaceAll(string(text), "FILE", printable(path))
			if err := writeNew(path, start); err != nil {
				return err
			}
			if err := writeSchema(filepath.Join(filepath.Dir(path), schemaFile)); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), `%[1]s is written. Next:
  read it, and change names and addresses to yours
  imbrouter test %[1]s      tries its routes, without a hub
  imbrouter doctor %[1]s    tries its folders and hubs
  imbrouter run %[1]s
`, printable(path))
			return nil
		},
	}
}

// writeSchema writes the schema of configurations, unless there is one.
func writeSchema(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	text, err := config.Schema(kinds)
	if err != nil {
		return err
	}
	return writeNew(path, string(text))
}

// writeNew writes a file that does not exist.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%q exists and is left as it is; name another file", path)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %q: %w", path, err), os.Remove(path))
	}
	return nil
}
