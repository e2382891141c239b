package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"imbrouter/imb"
)

func sendCommand() *cobra.Command {
	var client clientFlags
	var name string
	cmd := &cobra.Command{
		Use:   "send EVENT FILE...",
		Short: "Send files as streams",
		Long: `Send files as streams, one after the other, and end when the hub has taken them.
"-" is standard input. A stream's name is the file's name without its folder.`,
		Example: `  imbrouter send demo.files report.csv map.png
  tar c results | imbrouter send demo.files - --name results.tar`,
		Args: withUsage(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if name != "" && len(args) > 2 {
				return usage(cmd, errors.New("--name goes with one file"))
			}
			return client.publish(cmd, args[0], func(event *imb.Event) error {
				for _, path := range args[1:] {
					if err := sendFile(cmd.Context(), cmd, event, path, name); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	client.register(cmd)
	cmd.Flags().StringVar(&name, "name", "", "name of the stream, in place of the file's")
	return cmd
}

func sendFile(ctx context.Context, cmd *cobra.Command, event *imb.Event, path, name string) error {
	body, size, err := openBody(cmd, path)
	if err != nil {
		return err
	}
	defer body.Close()
	if name == "" {
		name = filepath.Base(path)
		if path == "-" {
			name = "stdin"
		}
	}
	stderr := cmd.ErrOrStderr()
	var r io.Reader = body
	if isTerminal(stderr) {
		bars := newProgressBars(stderr)
		bar := bars.add(name, size)
		defer bars.close()
		defer bar.Abort(true)
		if r, err = bar.ProxyReader(body); err != nil {
			return err
		}
	}
	n, err := event.SendStream(ctx, name, r, imb.StreamOptions{})
	if err != nil {
		return fmt.Errorf("send %q: %w", path, err)
	}
	fmt.Fprintf(stderr, "sent %q on %s, %s\n", name, event.Name(), humanize.IBytes(uint64(n)))
	return nil
}

// openBody opens a file, or standard input for "-". A size below 0 is unknown.
func openBody(cmd *cobra.Command, path string) (body io.ReadCloser, size int64, err error) {
	if path == "-" {
		return io.NopCloser(cmd.InOrStdin()), -1, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = &fs.PathError{Op: "send", Path: path, Err: errors.New("is a folder")}
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}
