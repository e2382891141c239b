package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

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
		Long: `Send files as streams, one after the other; a file is sent when the hub has
taken all of it. At the first that fails it ends, and says which of the files
the hub has. "-" is standard input. A stream's name is the file's name without
its folder.`,
		Example: `  imbrouter send demo.files report.csv map.png
  tar c results | imbrouter send demo.files - --name results.tar`,
		Args: withUsage(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if name != "" && len(args) > 2 {
				return usage(cmd, errors.New("--name goes with one file"))
			}
			return client.publish(cmd, args[0], func(_ *session, event *imb.Event) error {
				return sendFiles(cmd, event, args[1:], name)
			})
		},
	}
	client.register(cmd)
	cmd.Flags().StringVar(&name, "name", "", "name of the stream, in place of the file's")
	return cmd
}

// sendFiles sends files until one fails. The error tells what became of each.
func sendFiles(cmd *cobra.Command, event *imb.Event, paths []string, name string) error {
	for i, path := range paths {
		err := sendFile(cmd, event, path, name)
		if err != nil && len(paths) > 1 {
			err = fmt.Errorf("%w\nconfirmed: %s; not confirmed: %s", err, list(paths[:i]), list(paths[i:]))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = strconv.Quote(name)
	}
	return strings.Join(quoted, ", ")
}

// sendFile sends a file and returns when the hub has it.
func sendFile(cmd *cobra.Command, event *imb.Event, path, name string) error {
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
	n, err := sendBody(cmd, event, name, body, size)
	if err != nil {
		return fmt.Errorf("send %q: %w", path, err)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "file sent: %q on %q, %s\n", name, event.Name(), humanize.IBytes(uint64(n)))
	return nil
}

// sendBody sends a stream, with a bar on a terminal, and returns its size when
// the hub has all of it.
func sendBody(cmd *cobra.Command, event *imb.Event, name string, body io.Reader, size int64) (int64, error) {
	if stderr := cmd.ErrOrStderr(); isTerminal(stderr) {
		bars := newProgressBars(stderr)
		bar := bars.add(fmt.Sprintf("sending %q on %q", name, event.Name()), size, time.Now())
		defer bars.close()
		defer bar.Abort(true)
		var err error
		if body, err = bar.ProxyReader(body); err != nil {
			return 0, err
		}
	}
	ctx := cmd.Context()
	stream, err := event.OpenStream(ctx, name, imb.StreamOptions{})
	if err != nil {
		return 0, err
	}
	defer stream.Abort() // does nothing after Close
	n, err := stream.ReadFrom(body)
	if err != nil {
		return n, err
	}
	if err := stream.Close(ctx); err != nil {
		return n, err
	}
	return n, stream.Flush(ctx)
}

// openBody opens a file, or standard input for "-". A size below 0 is unknown.
func openBody(cmd *cobra.Command, path string) (body io.ReadCloser, size int64, err error) {
	if path == "-" {
		return io.NopCloser(input(cmd)), -1, nil
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
