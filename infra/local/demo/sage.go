package demo

import (
	"context"
	"errors"
	"fmt"

	sagesim "connectorvault/infra/sim/sage"
)

// connectSage gives an entry the fields that Sage's users know, and connects it in the browser.
func (d *demo) connectSage(ctx context.Context) error {
	err := d.create(ctx, &d.ledger, object{"provider": "sage", "alias": "Ledger", "environment": "production", "country_code": "GB",
		"oauth_api_key": sagesim.SeedClientID, "oauth_api_secret": sagesim.SeedClientSecret,
		"oauth_callback_url": d.server.ready.URL + "/oauth/sage/callback"})
	if err != nil {
		return err
	}
	if err := d.consent(ctx, &d.ledger, "Sage"); err != nil {
		return err
	}
	for _, business := range d.ledger.Account.Members {
		d.say("   One consent covers the business %s, %s.", business.ID, business.Name)
	}
	return nil
}

// readBooks names one business, since Sage would silently answer for another, and reads what is in its books.
func (d *demo) readBooks(ctx context.Context) error {
	if len(d.ledger.Account.Members) == 0 {
		return errors.New("the account has no business")
	}
	var connector struct {
		ID string `json:"id"`
	}
	business := d.ledger.Account.Members[0]
	err := d.server.call(ctx, "POST", "/v1/connectors", object{"name": "Books", "vault_entry": d.ledger.ID,
		"settings": object{"business": business.ID}}, &connector)
	if err != nil {
		return err
	}
	d.books = connector.ID
	d.say("   POST /v1/connectors: %s reads %s.", d.books, business.Name)
	for _, read := range []struct{ what, shown, money string }{
		{"contacts?limit=20&attributes=all", "reference", "credit_limit"},
		{"sales-invoices?limit=20&attributes=all", "date", "total_amount"},
		{"ledger-entries?limit=20&attributes=all", "date", "debit"},
	} {
		var p page
		if err := d.readOf(ctx, d.books, read.what, &p); err != nil {
			return err
		}
		if len(p.Items) == 0 || p.Next == nil {
			return fmt.Errorf("%s is empty, or one page", read.what)
		}
		first := p.Items[0]
		d.say("   GET …/%s: %d, and there are more; the first: %s %v, %s %v.", read.what, len(p.Items), read.shown, first[read.shown], read.money, first[read.money])
		if d.contact == "" {
			d.contact = text(first, "id")
		}
	}
	return nil
}

// sameContact reads the first contact again by its id.
func (d *demo) sameContact(ctx context.Context) error {
	var p page
	if err := d.readOf(ctx, d.books, "contacts/"+d.contact, &p); err != nil {
		return err
	}
	if len(p.Items) != 1 || text(p.Items[0], "id") != d.contact {
		return errors.New("the contact is another one")
	}
	d.say("   GET …/contacts/%s: it is there.", d.contact)
	return nil
}
