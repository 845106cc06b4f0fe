package handler

import (
	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"connectorvault/shared/authorize"
	"connectorvault/shared/fault"
	"connectorvault/shared/record"
)

// The pages. Whatever comes from somebody is g.Text, which escapes it, and stands between elements, never in an attribute: so
// there is one context, and text cannot end it. What is not escaped is compiled in; a test looks for it.

var soft, bad = h.Class("soft"), h.Class("bad")

// words are text between strong words, each a plain string or an element.
func words(parts ...any) g.Node {
	var out g.Group
	for _, part := range parts {
		switch part := part.(type) {
		case string:
			out = append(out, g.Text(part))
		case g.Node:
			out = append(out, part)
		}
	}
	return out
}

func strong(text string) g.Node { return h.Strong(g.Text(text)) }

// nameOf is how an entry is named in a sentence.
func nameOf(e record.Entry) g.Node {
	return g.Group{strong(e.Alias), g.Text(" (" + e.Environment + ")")}
}

// beginning says what is about to be connected.
func beginning(j authorize.Journey) g.Node {
	return document("Connect "+j.Title,
		h.H1(g.Text("Connect "+j.Title)),
		h.P(g.Text("You are about to give Connector Vault access to an account. Go on only if you expected this.")),
		h.Dl(line, lines(
			term("Company", j.Tenant), term("Vault entry", j.Entry.Alias), term("Environment", j.Entry.Environment), term("Asked for by", j.Principal))),
		h.Form(h.Method("post"), h.Button(h.Type("submit"), g.Text("Continue to "+j.Title))),
		h.P(soft, g.Text("You will sign in at "+j.ConsentHost+" and come back here.")))
}

func term(name, value string) g.Node { return g.Group{h.Dt(g.Text(name)), h.Dd(g.Text(value))} }

// connected is the end of the way through the browser.
func connected(e record.Entry) g.Node {
	return document("Connected",
		h.H1(h.Class("good"), g.Text("The account is connected")),
		h.P(words("The vault entry ", nameOf(e), " is active. You can close this page.")))
}

// toCopy is the end of the other way: the person takes the address to where they began.
func toCopy(e record.Entry) g.Node {
	return document("Copy the Result URL",
		h.H1(g.Text("One more step")),
		h.P(words("Consent was given for the vault entry ", nameOf(e), ". It is not connected yet.")),
		h.Ol(line, lines(
			h.Li(words("Copy the whole address of this page from the address bar. It is the ", strong("Result URL"), ".")),
			h.Li(words("Paste it where you began, and press ", strong("Validate"), ".")))),
		h.P(bad, g.Text("Give the address to nobody else, whoever asks: with it, access to the account can be taken over.")),
		h.P(soft, g.Text("It works for a few minutes, and once.")))
}

// arrived is for somebody whom a provider's store sent here.
func arrived(title, handle string) g.Node {
	return document("Connect from "+title,
		h.H1(g.Text("Which vault entry is this for?")),
		h.P(g.Text(title+" sent you here to connect an account. To go on:")),
		h.Ol(line, lines(
			h.Li(words("Where you manage vault entries, authorize the entry in the mode ", strong("appstore"), " with this handle:\n", h.Code(g.Text(handle)))),
			h.Li(g.Text("Open the start link that you then get, in this browser.")))),
		h.P(soft, g.Text("The handle works for ten minutes, once, and only in this browser.")))
}

// problem says what was wrong and what to do.
func problem(f *fault.Error, request string) g.Node {
	return document("Not connected",
		h.H1(bad, g.Text("The account was not connected")),
		h.P(g.Text(f.Detail)),
		g.If(f.Action != "", h.P(words(strong("What to do:"), " "+f.Action))),
		g.Iff(f.Provider != nil, func() g.Node { return h.P(soft, g.Text(said(f.Provider))) }),
		h.P(soft, words("Code ", strong(f.Code), g.If(request != "", g.Text(", request "+request)))))
}

// said is what a provider told of a failure.
func said(p *fault.Provider) string {
	text := "The provider said: " + p.Code
	if p.Message != "" {
		text += " " + p.Message
	}
	if p.RequestID != "" {
		text += " (its request " + p.RequestID + ")"
	}
	return text
}
