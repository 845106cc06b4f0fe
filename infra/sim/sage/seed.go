package sagesim

import (
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"connectorvault/infra/sim/engine"
)

// The seeded applications. Their identifiers are fixed so that a bundle can be configured before it starts; the
// secrets guard nothing but this simulator. Both take http://127.0.0.1:<any port>/oauth/sage/callback.
const (
	SeedClientID        = "5eed0000-0000-4000-8000-00000000a9a1/5eed0000-0000-4000-8000-00000000a9a2"
	SeedClientSecret    = "5eed~sage~client~secret~0000000000000001" // #nosec G101 -- simulated
	SeedSubscriptionKey = "5eed5ab5c4197109000000000000a901"         // #nosec G101 -- simulated
	SeedSignatureSecret = "5eed519a70e5ec4e7000000000000000000a901"  // #nosec G101 -- simulated

	SeedOtherClientID        = "5eed0000-0000-4000-8000-00000000b9b1/5eed0000-0000-4000-8000-00000000b9b2"
	SeedOtherClientSecret    = "5eed~sage~client~secret~0000000000000002" // #nosec G101 -- simulated
	SeedOtherSubscriptionKey = "5eed5ab5c4197109000000000000b902"         // #nosec G101 -- simulated
	SeedOtherSignatureSecret = "5eed519a70e5ec4e7000000000000000000b902"  // #nosec G101 -- simulated
)

// The seeded users. One authorization gives all businesses of its user (Sage facts 2.7).
const (
	UserGB       = "5eed0000-0000-4000-8000-0000000000a1" // three businesses
	UserGBSingle = "5eed0000-0000-4000-8000-0000000000a2" // one
	UserGBLapsed = "5eed0000-0000-4000-8000-0000000000a3" // two, of which the second one's subscription has lapsed
	UserIE       = "5eed0000-0000-4000-8000-0000000000b1" // two
	UserCA       = "5eed0000-0000-4000-8000-0000000000c1"
	UserUS       = "5eed0000-0000-4000-8000-0000000000d1" // two
	UserDE       = "5eed0000-0000-4000-8000-0000000000e1"
	UserES       = "5eed0000-0000-4000-8000-0000000000e2"
	UserFR       = "5eed0000-0000-4000-8000-0000000000f1"
)

// The seeded businesses. The first of a user's is the lead business until that is changed.
const (
	BusinessGB       = "5eedb0000000000000000000000000a1"
	BusinessGBSecond = "5eedb0000000000000000000000000a2"
	BusinessGBThird  = "5eedb0000000000000000000000000a3"
	BusinessGBSingle = "5eedb0000000000000000000000000a4"
	BusinessGBActive = "5eedb0000000000000000000000000a5" // UserGBLapsed's first
	BusinessGBLapsed = "5eedb0000000000000000000000000a6"
	BusinessIE       = "5eedb0000000000000000000000000b1"
	BusinessIESecond = "5eedb0000000000000000000000000b2"
	BusinessCA       = "5eedb0000000000000000000000000c1"
	BusinessUS       = "5eedb0000000000000000000000000d1"
	BusinessUSSecond = "5eedb0000000000000000000000000d2"
	BusinessDE       = "5eedb0000000000000000000000000e1"
	BusinessES       = "5eedb0000000000000000000000000e2"
	BusinessFR       = "5eedb0000000000000000000000000f1"
)

// User is somebody who can sign in. Nobody has a password.
type User struct {
	ID        string `json:"id"`
	Email     string `json:"email"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Country   string `json:"country"`
}

// Users returns the seeded users.
func (s *Simulator) Users() []User {
	return []User{
		newUser(UserGB, "gb", "One"), newUser(UserGBSingle, "gb", "Two"), newUser(UserGBLapsed, "gb", "Three"),
		newUser(UserIE, "ie", "One"), newUser(UserCA, "ca", "One"), newUser(UserUS, "us", "One"),
		newUser(UserDE, "de", "One"), newUser(UserES, "es", "One"), newUser(UserFR, "fr", "One"),
	}
}

func newUser(id, country, number string) User {
	return User{
		ID: id, Email: "owner." + country + "." + strings.ToLower(number) + "@example.com", FirstName: "Owner",
		LastName: strings.ToUpper(country) + " " + number, Country: strings.ToUpper(country),
	}
}

// user finds a user by id or e-mail address.
func (s *Simulator) user(name string) (User, bool) {
	users := s.Users()
	i := slices.IndexFunc(users, func(u User) bool { return u.ID == name || strings.EqualFold(u.Email, name) })
	if i < 0 {
		return User{}, false
	}
	return users[i], true
}

func seededBusinesses() []Business {
	return []Business{
		{ID: BusinessGB, User: UserGB, Name: "Blue Heron Supplies Ltd", Country: "GB", Lead: true, Active: true},
		{ID: BusinessGBSecond, User: UserGB, Name: "Heron Lettings Ltd", Country: "GB", Active: true},
		{ID: BusinessGBThird, User: UserGB, Name: "Heron & Daughters (Café)", Country: "GB", Active: true},
		{ID: BusinessGBSingle, User: UserGBSingle, Name: "Moorland Tools Ltd", Country: "GB", Lead: true, Active: true},
		{ID: BusinessGBActive, User: UserGBLapsed, Name: "Estuary Printing Ltd", Country: "GB", Lead: true, Active: true},
		{ID: BusinessGBLapsed, User: UserGBLapsed, Name: "Estuary Bindery Ltd", Country: "GB"},
		{ID: BusinessIE, User: UserIE, Name: "Cois Farraige Teoranta", Country: "IE", Lead: true, Active: true},
		{ID: BusinessIESecond, User: UserIE, Name: "Burren Foods Ltd", Country: "IE", Active: true},
		{ID: BusinessCA, User: UserCA, Name: "Érablière du Lac Inc.", Country: "CA", Lead: true, Active: true},
		{ID: BusinessUS, User: UserUS, Name: "Prairie Lamp Co.", Country: "US", Lead: true, Active: true},
		{ID: BusinessUSSecond, User: UserUS, Name: "Prairie Lamp Rentals LLC", Country: "US", Active: true},
		{ID: BusinessDE, User: UserDE, Name: "Alpenglanz Bürobedarf GmbH", Country: "DE", Lead: true, Active: true},
		{ID: BusinessES, User: UserES, Name: "Cerámica Ñandú S.L.", Country: "ES", Lead: true, Active: true},
		{ID: BusinessFR, User: UserFR, Name: "Atelier de l'Étang SARL", Country: "FR", Lead: true, Active: true},
	}
}

// metaSigningKey names the key in the table meta.
const metaSigningKey = "signing key"

// seed makes the applications, the businesses and the signing key. It is harmless when repeated.
func (s *Simulator) seed(ctx context.Context) error {
	return s.state.Update(ctx, func(tx *sql.Tx) error {
		key, err := engine.Meta(ctx, tx, metaSigningKey)
		if err != nil {
			return err
		}
		if key != "" { // the state is not new
			s.key, err = base64.RawStdEncoding.DecodeString(key)
			return err
		}
		s.key = s.random.Bytes(32)
		if err := engine.SetMeta(ctx, tx, metaSigningKey, base64.RawStdEncoding.EncodeToString(s.key)); err != nil {
			return err
		}
		for i, b := range seededBusinesses() {
			if err := insertBusiness(ctx, tx, b, i); err != nil {
				return err
			}
		}
		for _, app := range []App{
			{ClientID: SeedClientID, Name: "Connector Vault (simulated)", Origin: originSeeded, secretHash: engine.Digest(SeedClientSecret),
				keyHash: engine.Digest(SeedSubscriptionKey), SignatureSecret: SeedSignatureSecret},
			{ClientID: SeedOtherClientID, Name: "Second application (simulated)", Origin: originSeeded, secretHash: engine.Digest(SeedOtherClientSecret),
				keyHash: engine.Digest(SeedOtherSubscriptionKey), SignatureSecret: SeedOtherSignatureSecret},
		} {
			if err := s.putApp(ctx, tx, app); err != nil {
				return fmt.Errorf("seeding an application: %w", err)
			}
		}
		return nil
	})
}
