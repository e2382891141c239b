package web

import (
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"imbrouter/router/config"
)

// put takes files of a form into the folder of a source.
func (p *Page) put(w http.ResponseWriter, r *http.Request) {
	source := r.PathValue("source")
	depot, ok := p.options.Daemon.Config().Sources[source].(config.Depot)
	if !ok {
		http.Error(w, fmt.Sprintf("there is no source %q with a folder", source), http.StatusNotFound)
		return
	}
	select {
	case p.puts <- struct{}{}:
		defer func() { <-p.puts }()
	default:
		busy(w, "too many files are on their way already")
		return
	}
	body := &patient{r.Body, http.NewResponseController(w)}
	r.Body = body
	form, err := r.MultipartReader()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	names, err := p.putAll(depot, form)
	for _, name := range names {
		p.log.Info("a file was put into the folder from the page", "source", source, "path", name)
	}
	body.extend()
	if err != nil {
		w.Header().Set("Connection", "close") // what is left of the request is not read
		status := http.StatusConflict
		if errors.Is(err, errTooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, short(err.Error()), status)
		return
	}
	p.done(w, r, "In the folder: "+strings.Join(names, ", "))
}

var errTooLarge = errors.New("too large")

// putAll takes all files of a form, and returns under which names.
func (p *Page) putAll(depot config.Depot, form *multipart.Reader) (names []string, err error) {
	for parts := 1; ; parts++ {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			if len(names) == 0 {
				return nil, errors.New("no file was chosen")
			}
			return names, nil
		}
		if err != nil {
			return names, err
		}
		if parts > maxFiles {
			return names, fmt.Errorf("%w: one form brings at most %d files", errTooLarge, maxFiles)
		}
		if part.FileName() == "" {
			continue
		}
		name, err := depot.Put(part.FileName(), &bounded{part, p.options.Daemon.Config().Admin.MaxUpload, 0})
		if err != nil {
			return names, err
		}
		names = append(names, name)
	}
}

// bounded fails when there is more to be read than a limit.
type bounded struct {
	io.Reader
	limit config.Size
	read  config.Size
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if b.read += config.Size(n); b.read > b.limit {
		return 0, fmt.Errorf("%w: a file may have %v, see `max_upload` in [admin]", errTooLarge, b.limit)
	}
	return n, err
}

// patient is a body that may take as long as it likes, but not stand still.
type patient struct {
	io.ReadCloser
	controller *http.ResponseController
}

func (b *patient) extend() {
	_ = b.controller.SetReadDeadline(time.Now().Add(readTimeout))
	_ = b.controller.SetWriteDeadline(time.Now().Add(readTimeout + writeTimeout))
}

func (b *patient) Read(p []byte) (int, error) {
	b.extend()
	return b.ReadCloser.Read(p)
}
