package secretstest

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Codes that come from several places.
const (
	codeNotFound       = "ResourceNotFoundException"
	codeInvalidRequest = "InvalidRequestException"
)

// kept is a secret. Its history is kept whole, so that a read can be answered as of a moment ago.
type kept struct {
	made, deleted time.Time // deleted is zero while it lives
	versions      []version // in the order they were made
	moves         []move    // in the order they were made
}

type version struct {
	id, value string
	at        time.Time
}

// move is where the labels point from some time on.
type move struct {
	at                time.Time
	current, previous string // version ids
}

func (s *kept) version(id string) *version {
	for i := range s.versions {
		if s.versions[i].id == id {
			return &s.versions[i]
		}
	}
	return nil
}

// labels returns where the labels pointed at a time.
func (s *kept) labels(at time.Time) move {
	var last move
	for _, m := range s.moves {
		if !m.at.After(at) {
			last = m
		}
	}
	return last
}

// live returns the secret that a write meets. The service's own writes are not behind, and its name is taken until its deletion is over.
func (f *Fake) live(name string) (*kept, error) {
	s := f.secrets[name]
	if s == nil || !s.deleted.IsZero() && !f.now.Before(s.deleted.Add(f.opts.Deleting)) {
		return nil, refuse(codeNotFound, "Secrets Manager can't find the specified secret.")
	}
	if !s.deleted.IsZero() {
		return nil, refuse(codeInvalidRequest, "You can't perform this operation on the secret because it was marked for deletion.")
	}
	return s, nil
}

// seen returns the secret that a read meets, as of Lag ago, and that time.
func (f *Fake) seen(name string) (*kept, time.Time, error) {
	at := f.now.Add(-f.opts.Lag)
	s := f.secrets[name]
	if s == nil || s.made.After(at) || !s.deleted.IsZero() && !at.Before(s.deleted.Add(f.opts.Deleting)) {
		return nil, at, refuse(codeNotFound, "Secrets Manager can't find the specified secret.")
	}
	if !s.deleted.IsZero() && !at.Before(s.deleted) {
		return nil, at, refuse(codeInvalidRequest, "You can't perform this operation on the secret because it was marked for deletion.")
	}
	return s, at, nil
}

func (f *Fake) get(in request) (any, error) {
	s, at, err := f.seen(in.SecretID)
	if err != nil {
		return nil, err
	}
	labels := s.labels(at)
	id := in.VersionID
	if id == "" {
		id = map[string]string{"": labels.current, labelCurrent: labels.current, labelPrevious: labels.previous}[in.VersionStage]
	}
	v := s.version(id)
	if v == nil || v.at.After(at) {
		return nil, refuse(codeNotFound, "Secrets Manager can't find the specified secret value.")
	}
	stages := []string{}
	if v.id == labels.current {
		stages = append(stages, labelCurrent)
	}
	if v.id == labels.previous {
		stages = append(stages, labelPrevious)
	}
	return map[string]any{"ARN": arn(in.SecretID), "Name": in.SecretID, "VersionId": v.id, "SecretString": v.value,
		"VersionStages": stages, "CreatedDate": epoch(v.at)}, nil
}

func (f *Fake) put(in request) (any, error) {
	if err := f.admit("put"); err != nil {
		return nil, err
	}
	s, err := f.live(in.SecretID)
	if err != nil {
		return nil, err
	}
	if err := f.add(s, in); err != nil {
		return nil, err
	}
	return map[string]any{"ARN": arn(in.SecretID), "Name": in.SecretID, "VersionId": in.ClientRequestToken, "VersionStages": []string{labelCurrent}}, nil
}

var validName = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]{1,512}$`)

func (f *Fake) create(in request) (any, error) {
	if err := f.admit("create"); err != nil {
		return nil, err
	}
	if !validName.MatchString(in.Name) {
		return nil, refuse("ValidationException", "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	}
	made := map[string]any{"ARN": arn(in.Name), "Name": in.Name, "VersionId": in.ClientRequestToken}
	old, err := f.live(in.Name)
	if err == nil {
		if v := old.version(in.ClientRequestToken); v != nil && in.SecretString != nil && v.value == *in.SecretString {
			return made, nil // the same request, once more
		}
		return nil, refuse("ResourceExistsException", "The operation failed because the secret "+in.Name+" already exists.")
	}
	if taken := new(refusal); errors.As(err, &taken) && taken.code == codeInvalidRequest {
		return nil, refuse(codeInvalidRequest, "You can't create this secret because a secret with this name is already scheduled for deletion.")
	}
	s := &kept{made: f.now}
	if err := f.add(s, in); err != nil {
		return nil, err
	}
	f.secrets[in.Name] = s
	return made, nil
}

// add gives a secret a new current version, or refuses.
func (f *Fake) add(s *kept, in request) error {
	if in.SecretString == nil || *in.SecretString == "" || len(*in.SecretString) > maxValue {
		return refuse("InvalidParameterException", "You must provide a SecretString of 1 to 65536 bytes.")
	}
	if n := len(in.ClientRequestToken); n < minToken || n > maxToken {
		return refuse("InvalidParameterException", "ClientRequestToken must be 32-64 characters long.")
	}
	if v := s.version(in.ClientRequestToken); v != nil {
		if v.value == *in.SecretString {
			return nil
		}
		return refuse("ResourceExistsException", "A resource with the ID you requested already exists.")
	}
	labels := s.labels(f.now)
	versions := f.pruned(s.versions, labels)
	if len(versions) >= MaxVersions {
		return refuse("LimitExceededException", "You can't create a version because the secret has reached its quota of versions.")
	}
	s.versions = append(versions, version{in.ClientRequestToken, *in.SecretString, f.now})
	s.moves = append(s.moves, move{f.now, in.ClientRequestToken, labels.current})
	return nil
}

// pruned returns the versions without those that a further one pushes out: the oldest, if they are not young and have no label.
func (f *Fake) pruned(versions []version, labels move) []version {
	over := len(versions) + 1 - MaxVersions
	return slices.DeleteFunc(slices.Clone(versions), func(v version) bool {
		if over <= 0 || f.now.Sub(v.at) < Young || v.id == labels.current || v.id == labels.previous {
			return false
		}
		over--
		return true
	})
}

func (f *Fake) remove(in request) (any, error) {
	if err := f.admit("delete"); err != nil {
		return nil, err
	}
	if in.ForceDeleteWithoutRecovery && in.RecoveryWindowInDays != nil {
		return nil, refuse("InvalidParameterException", "You can't use ForceDeleteWithoutRecovery with RecoveryWindowInDays.")
	}
	if !in.ForceDeleteWithoutRecovery {
		return nil, refuse("UnknownOperationException", "the fake has no recovery window")
	}
	if s := f.secrets[in.SecretID]; s != nil && s.deleted.IsZero() {
		s.deleted = f.now
	}
	return map[string]any{"ARN": arn(in.SecretID), "Name": in.SecretID, "DeletionDate": epoch(f.now)}, nil
}

func (f *Fake) list(in request) (any, error) {
	if in.MaxResults < 0 || in.MaxResults > maxList {
		return nil, refuse("InvalidParameterException", "MaxResults must be 1 to 100.")
	}
	if in.MaxResults == 0 {
		in.MaxResults = maxList
	}
	from := 0
	if in.NextToken != "" {
		n, err := strconv.Atoi(in.NextToken)
		if err != nil || n < 0 {
			return nil, refuse("InvalidNextTokenException", "The NextToken value is invalid.")
		}
		from = n
	}
	names := f.matching(in)
	answer := map[string]any{}
	if from+in.MaxResults < len(names) {
		answer["NextToken"] = strconv.Itoa(from + in.MaxResults)
	}
	found := []map[string]any{}
	for _, name := range names[min(from, len(names)):min(from+in.MaxResults, len(names))] {
		found = append(found, map[string]any{"Name": name, "ARN": arn(name)})
	}
	answer["SecretList"] = found
	return answer, nil
}

// matching lists the names that a request for a listing means, in order.
func (f *Fake) matching(in request) []string {
	var names []string
	for name := range f.secrets {
		_, _, err := f.seen(name)
		for _, filter := range in.Filters {
			if filter.Key == "name" && !slices.ContainsFunc(filter.Values, func(p string) bool { return strings.HasPrefix(name, p) }) {
				err = errNoMatch
			}
		}
		if err == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

var errNoMatch = errors.New("a filter leaves it out")

// admit counts a write against a rate quota. What is refused does not count.
func (f *Fake) admit(quota string) error {
	second := slices.DeleteFunc(f.writes[quota], func(at time.Time) bool { return f.now.Sub(at) >= time.Second })
	if len(second) >= WritesASecond {
		f.writes[quota] = second
		return refuse("ThrottlingException", "Rate exceeded")
	}
	f.writes[quota] = append(second, f.now)
	return nil
}
