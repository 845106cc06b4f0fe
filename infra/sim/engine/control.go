package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// maxControlBody is how much a test may send at once.
const maxControlBody = 64 << 10

// ErrNotFound is what an endpoint of the control answers 404 for.
var ErrNotFound = errors.New("not found")

// list is the wire form of every list: {"items": […]}.
type list[T any] struct {
	Items []T `json:"items"`
}

// Listed gives a list its wire form; none is an empty one.
func Listed[T any](items []T, err error) (any, error) {
	if items == nil {
		items = []T{}
	}
	return list[T]{items}, err
}

// Endpoint turns a function into an endpoint of the control: nil answers 204, an error 400 (404 where something is unknown).
func Endpoint(serve func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		answer, err := serve(r)
		status := http.StatusOK
		switch {
		case errors.Is(err, ErrNotFound):
			status = http.StatusNotFound
		case err != nil:
			status = http.StatusBadRequest
		case answer == nil:
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		body, err := json.Marshal(answer)
		if err != nil {
			http.Error(w, "encoding the answer failed", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		WriteBody(w, status, body)
	}
}

// Items is an endpoint that lists.
func Items[T any](items func(context.Context) ([]T, error)) http.HandlerFunc {
	return Endpoint(func(r *http.Request) (any, error) { return Listed(items(r.Context())) })
}

// Act is an endpoint that does something and has nothing to tell.
func Act(do func(context.Context) error) http.HandlerFunc {
	return Endpoint(func(r *http.Request) (any, error) { return nil, do(r.Context()) })
}

// Decoded is an endpoint that does something with what a test sent, and answers with what came of it.
func Decoded[In, Out any](do func(context.Context, In) (Out, error)) http.HandlerFunc {
	return Endpoint(func(r *http.Request) (any, error) {
		in, err := Decode[In](r)
		if err != nil {
			return nil, err
		}
		return do(r.Context(), in)
	})
}

// ReadBody reads what a test sent. Asking for JSON keeps a foreign page's form from steering the simulator.
func ReadBody(r *http.Request) ([]byte, error) {
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/json" {
		return nil, errors.New("the content type must be application/json")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxControlBody))
	if err != nil {
		return nil, fmt.Errorf("reading the body: %w", err)
	}
	return body, nil
}

// Decode reads a body that may have no unknown members: a switch that was misspelt would do nothing.
func Decode[T any](r *http.Request) (T, error) {
	var into T
	body, err := ReadBody(r)
	if err != nil {
		return into, err
	}
	err = unmarshalStrictly(body, &into)
	return into, err
}

// DecodeLoosely reads a body and passes over unknown members.
func DecodeLoosely[T any](r *http.Request) (T, error) {
	var into T
	body, err := ReadBody(r)
	if err != nil {
		return into, err
	}
	if err := json.Unmarshal(body, &into); err != nil {
		return into, fmt.Errorf("decoding the body: %w", err)
	}
	return into, nil
}

// DecodeMany reads one, or each of an array, as strictly as Decode.
func DecodeMany[T any](r *http.Request) ([]T, error) {
	body, err := ReadBody(r)
	if err != nil {
		return nil, err
	}
	many := make([]T, 1)
	if strings.HasPrefix(strings.TrimSpace(string(body)), "[") {
		err = unmarshalStrictly(body, &many)
	} else {
		err = unmarshalStrictly(body, &many[0])
	}
	return many, err
}

func unmarshalStrictly(body []byte, into any) error {
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("decoding the body: %w", err)
	}
	return nil
}

// Number reads a parameter that counts; one that is not given is 0.
func Number(r *http.Request, name string) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, errors.New(name + " is no number")
	}
	return n, nil
}

// Each does something with each of a list, such as turning a switch on, and lists what came of it.
func Each[T any](ctx context.Context, many []T, do func(context.Context, T) (T, error)) (any, error) {
	done := make([]T, 0, len(many))
	for _, one := range many {
		one, err := do(ctx, one)
		if err != nil {
			return nil, err
		}
		done = append(done, one)
	}
	return Listed(done, nil)
}

// Clearing is the endpoint that turns off the switches named by ?name=, or all.
func (s *Switches[F]) Clearing() http.HandlerFunc {
	return Endpoint(func(r *http.Request) (any, error) {
		if name := r.URL.Query().Get("name"); name != "" {
			return nil, s.Clear(r.Context(), name)
		}
		return nil, s.ClearAll(r.Context())
	})
}
