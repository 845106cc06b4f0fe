package amazon

import "connectorvault/shared/resource"

// The few words in which the tables of operations are written.

// one is a query parameter with one value; what it may be follows, if that is stated.
func one(name string, values ...string) resource.Filter {
	return resource.Filter{Name: name, Values: values}
}

// many is a comma separated list: Amazon's way unless stated otherwise (Amazon facts 5.1).
func many(name string, values ...string) resource.Filter {
	return resource.Filter{Name: name, List: resource.CSV, Values: values}
}

// flag is a query parameter that is true or false.
func flag(name string) resource.Filter { return one(name, "true", "false") }

// upTo states the longest list.
func upTo(most int, f resource.Filter) resource.Filter {
	f.Max = most
	return f
}

// need says that the operation cannot do without.
func need(f resource.Filter) resource.Filter {
	f.Required = true
	return f
}

// or is what is sent when the caller says nothing, unless one of the filters after it was given.
func or(value string, f resource.Filter, yields ...string) resource.Filter {
	f.Default, f.Yields = value, yields
	return f
}

// told says to a person what a filter is.
func told(help string, f resource.Filter) resource.Filter {
	f.Help = help
	return f
}

// inPath is a part of the path that is not the item.
func inPath(name, help string) resource.Filter {
	return resource.Filter{Name: name, In: resource.InPath, Required: true, Help: help}
}

// inBody is a member of a request's body.
func inBody(f resource.Filter) resource.Filter {
	f.In = resource.InBody
	return f
}

// The parameters that most operations share.
func marketplaceID(name string) resource.Filter {
	return told("Marketplace id; the connector's first, or else the vault entry's.", or(defaultMarketplace, one(name)))
}

func marketplaceIDs(name string) resource.Filter {
	return told("Marketplace ids; the connector's, or else the vault entry's.", or(defaultMarketplaces, many(name)))
}

func namedMarketplaceIDs(name string) resource.Filter {
	return told("Marketplace ids; the connector's, or else all of the account's.", or(defaultNamed, many(name)))
}

func sellerID(f resource.Filter) resource.Filter {
	return told("Selling partner id; the account's own.", or(defaultAccount, f))
}
