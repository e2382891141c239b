package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"

	"imbrouter/router/config"
)

// maxReply bounds what a Client reads of an answer, in bytes.
const maxReply = 64 << 20

var (
	// ErrNotRunning is wrapped by the errors of a Client when nobody answers.
	ErrNotRunning = errors.New("no imbrouter answers")
	// ErrForbidden is wrapped by them when nobody may ask for that there, such as
	// for a change where the configuration says read_only.
	ErrForbidden = errors.New("not for anybody")
)

// Client asks a router that runs, in this process or another one. It is safe for
// concurrent use.
type Client struct {
	address string
	url     string
	token   string
	http    http.Client
}

// NewClient returns a client for an address as config.Admin.Listen has it, other
// than "off", with the token that is needed there, "" for none. It connects with
// each call.
func NewClient(address, token string) *Client {
	c := &Client{address: address, url: "http://" + address, token: token}
	transport := &http.Transport{DisableKeepAlives: true}
	if path, ok := strings.CutPrefix(address, config.AdminSocket); ok {
		c.url = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	}
	c.http.Transport = transport
	return c
}

// Status asks how the router is.
func (c *Client) Status(ctx context.Context) (status Status, err error) {
	return status, c.ask(ctx, http.MethodGet, "/api/status", &status)
}

// Request asks for a reload, and does not wait for it.
func (c *Client) Request(ctx context.Context) error {
	return c.ask(ctx, http.MethodPost, "/api/reload?wait=false", nil)
}

// Reload asks for a reload, and returns what came of it.
func (c *Client) Reload(ctx context.Context) (reload Reload, err error) {
	return reload, c.ask(ctx, http.MethodPost, "/api/reload", &reload)
}

// ask makes a request and decodes the answer, when one is wanted.
func (c *Client) ask(ctx context.Context, method, path string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, nil)
	if err != nil {
		return fmt.Errorf("%q: %w", c.address, err)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err // the address is told here
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%q may not be opened: be the user that imbrouter runs as, or in its group: %w", c.address, err)
	case isDial(err):
		return fmt.Errorf("%w at %q: %w; is it running, with this address?", ErrNotRunning, c.address, err)
	case err != nil:
		return fmt.Errorf("%q: %w", c.address, err)
	}
	defer response.Body.Close()
	body := io.LimitReader(response.Body, maxReply)
	if response.StatusCode >= http.StatusMultipleChoices {
		text, _ := io.ReadAll(io.LimitReader(body, maxText))
		err := fmt.Errorf("%q answers %s: %s", c.address, response.Status, strings.TrimSpace(string(text)))
		if response.StatusCode == http.StatusForbidden {
			err = forbiddenError{err}
		}
		return err
	}
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(body).Decode(answer); err != nil {
		return fmt.Errorf("%q does not answer as an imbrouter does: %w", c.address, err)
	}
	return nil
}

// forbiddenError is an ErrForbidden that the answer says enough about.
type forbiddenError struct{ error }

func (e forbiddenError) Is(target error) bool { return target == ErrForbidden }

// isDial tells whether there was nobody to connect to.
func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
