package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command has help with examples, which it takes, and which a script runs.
func TestEveryCommandHasHelp(t *testing.T) {
	var scripts strings.Builder
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		scripts.Write(append(text, '\n'))
	}
	var look func(*cobra.Command)
	look = func(cmd *cobra.Command) {
		if cmd.Hidden {
			return
		}
		name := strings.TrimPrefix(cmd.CommandPath(), "imbrouter ")
		if top := cmd.Parent() != nil && cmd.Parent().Parent() == nil; cmd.Short == "" || cmd.Example == "" || top && cmd.Long == "" && name != "version" {
			t.Errorf("the help of %q lacks a description or an example", name)
		}
		for line := range strings.Lines(cmd.Example) {
			checkExample(t, cmd, line)
		}
		// What groups others shows the examples of those, and no script can run a
		// service of Windows.
		if !cmd.HasSubCommands() && !strings.HasPrefix(name, "service ") &&
			!regexp.MustCompile(`(?m)^(examples|running '[^']*') `+name+`( ["'].*)?$`).MatchString(scripts.String()) {
			t.Errorf("no script runs the examples of %q", name)
		}
		for _, sub := range cmd.Commands() {
			look(sub)
		}
	}
	look(rootCommand())
}

// checkExample finds out whether the program takes a line of a command's examples
// that is for this command or one below it.
func checkExample(t *testing.T, of *cobra.Command, line string) {
	t.Helper()
	_, line, ok := strings.Cut(line, "imbrouter ")
	if !ok {
		t.Errorf("the example %q of %q does not run the program", line, of.CommandPath())
		return
	}
	var args []string
	for _, word := range regexp.MustCompile(`'[^']*'|\S+`).FindAllString(line, -1) {
		if word == "|" || strings.HasPrefix(word, ">") {
			break
		}
		args = append(args, strings.Trim(word, "'"))
	}
	cmd, rest, err := rootCommand().Find(args)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil {
		t.Errorf("the example %q of %q: %v", line, of.CommandPath(), err)
	} else if !slices.Contains([]string{cmd.CommandPath(), strings.TrimSuffix(cmd.CommandPath(), " "+cmd.Name())}, of.CommandPath()) {
		t.Errorf("the example %q of %q is of %q", line, of.CommandPath(), cmd.CommandPath())
	}
}
