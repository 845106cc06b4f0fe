package amazonsim

import "slices"

// regionNames are the three SP-API regions (Amazon facts 4).
var regionNames = [...]string{"na", "eu", "fe"}

// marketplace is one store of Amazon's (Amazon facts 2.2).
type marketplace struct {
	id, country, name, region, currency, language, domain string
}

// marketplaceTable lists every marketplace of Amazon facts 2.2. The United Kingdom says "GB" in payloads, as ISO does.
var marketplaceTable = [...]marketplace{
	{"ATVPDKIKX0DER", "US", "Amazon.com", "na", "USD", "en_US", "www.amazon.com"},
	{"A2EUQ1WTGCTBG2", "CA", "Amazon.ca", "na", "CAD", "en_CA", "www.amazon.ca"},
	{"A1AM78C64UM0Y8", "MX", "Amazon.com.mx", "na", "MXN", "es_MX", "www.amazon.com.mx"},
	{"A2Q3Y263D00KWC", "BR", "Amazon.com.br", "na", "BRL", "pt_BR", "www.amazon.com.br"},
	{"A28R8C7NBKEWEA", "IE", "Amazon.ie", "eu", "EUR", "en_IE", "www.amazon.ie"},
	{"A1RKKUPIHCS9HS", "ES", "Amazon.es", "eu", "EUR", "es_ES", "www.amazon.es"},
	{"A1F83G8C2ARO7P", "GB", "Amazon.co.uk", "eu", "GBP", "en_GB", "www.amazon.co.uk"},
	{"A13V1IB3VIYZZH", "FR", "Amazon.fr", "eu", "EUR", "fr_FR", "www.amazon.fr"},
	{"AMEN7PMS3EDWL", "BE", "Amazon.com.be", "eu", "EUR", "fr_BE", "www.amazon.com.be"},
	{"A1805IZSGTT6HS", "NL", "Amazon.nl", "eu", "EUR", "nl_NL", "www.amazon.nl"},
	{"A1PA6795UKMFR9", "DE", "Amazon.de", "eu", "EUR", "de_DE", "www.amazon.de"},
	{"APJ6JRA9NG5V4", "IT", "Amazon.it", "eu", "EUR", "it_IT", "www.amazon.it"},
	{"A2NODRKZP88ZB9", "SE", "Amazon.se", "eu", "SEK", "sv_SE", "www.amazon.se"},
	{"AE08WJ6YKNBMC", "ZA", "Amazon.co.za", "eu", "ZAR", "en_ZA", "www.amazon.co.za"},
	{"A1C3SOZRARQ6R3", "PL", "Amazon.pl", "eu", "PLN", "pl_PL", "www.amazon.pl"},
	{"ARBP9OOSHTCHU", "EG", "Amazon.eg", "eu", "EGP", "ar_EG", "www.amazon.eg"},
	{"A33AVAJ2PDY3EV", "TR", "Amazon.com.tr", "eu", "TRY", "tr_TR", "www.amazon.com.tr"},
	{"A17E79C6D8DWNP", "SA", "Amazon.sa", "eu", "SAR", "ar_SA", "www.amazon.sa"},
	{"A2VIGQ35RCS4UG", "AE", "Amazon.ae", "eu", "AED", "en_AE", "www.amazon.ae"},
	{"A21TJRUUN4KGV", "IN", "Amazon.in", "eu", "INR", "en_IN", "www.amazon.in"},
	{"A19VAU5U5O7RUS", "SG", "Amazon.sg", "fe", "SGD", "en_SG", "www.amazon.sg"},
	{"A39IBJ37TRP1C6", "AU", "Amazon.com.au", "fe", "AUD", "en_AU", "www.amazon.com.au"},
	{"A1VC38T7YXB528", "JP", "Amazon.co.jp", "fe", "JPY", "ja_JP", "www.amazon.co.jp"},
}

func marketplaceByID(id string) (marketplace, bool) {
	i := slices.IndexFunc(marketplaceTable[:], func(m marketplace) bool { return m.id == id })
	if i < 0 {
		return marketplace{}, false
	}
	return marketplaceTable[i], true
}

func marketplaceByCountry(country string) marketplace {
	i := slices.IndexFunc(marketplaceTable[:], func(m marketplace) bool { return m.country == country })
	return marketplaceTable[i]
}

func validRegion(region string) bool { return slices.Contains(regionNames[:], region) }
