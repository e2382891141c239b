package main

import "testing"

func TestEveryCommandHasHelp(t *testing.T) {
	for _, cmd := range rootCommand().Commands() {
		if cmd.Short == "" || cmd.Long == "" && cmd.Name() != "version" || cmd.Example == "" {
			t.Errorf("the help of %q lacks a description or an example", cmd.Name())
		}
	}
}
