package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// bare is a file at an origin, each read one ranged request on a connection
// that stays: what a read costs with nothing in between.
type bare struct {
	url    string
	client *http.Client
}

func isURL(path string) bool { return strings.HasPrefix(path, "http://") }

// openURL asks for the length, and so makes the connection.
func openURL(url string) (*bare, int64, error) {
	b := &bare{url, &http.Client{Transport: new(http.Transport)}}
	resp, err := b.client.Head(url)
	if err != nil {
		return nil, 0, err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ContentLength < 0 {
		return nil, 0, fmt.Errorf("HEAD %s: %s, length %d", url, resp.Status, resp.ContentLength)
	}
	return b, resp.ContentLength, nil
}

// ReadAt implements io.ReaderAt.
func (b *bare) ReadAt(p []byte, off int64) (int, error) {
	req, err := http.NewRequest(http.MethodGet, b.url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1))
	resp, err := b.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusPartialContent {
		return 0, fmt.Errorf("GET %s: %s", b.url, resp.Status)
	}
	n, err := io.ReadFull(resp.Body, p)
	if err != nil {
		return n, err
	}
	_, err = io.Copy(io.Discard, resp.Body) // the connection is free again
	return n, err
}

// Close ends the connection.
func (b *bare) Close() error {
	b.client.CloseIdleConnections()
	return nil
}
