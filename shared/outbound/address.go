package outbound

import "net/netip"

// reserved are the parts of the address space that are nobody's on the public internet, or whose packets end up at an
// address of another form. Of IPv6, everything beyond 2000::/3 is refused without being named.
var reserved = prefixes(
	"0.0.0.0/8",        // this network
	"10.0.0.0/8",       // private
	"100.64.0.0/10",    // shared by a carrier's customers; clouds put services of their own there
	"127.0.0.0/8",      // this machine
	"168.63.129.16/32", // a cloud's own service, at an address that looks public
	"169.254.0.0/16",   // link-local, and with it the metadata of every cloud
	"172.16.0.0/12",    // private
	"192.0.0.0/24",     // protocol assignments
	"192.0.2.0/24",     // documentation
	"192.88.99.0/24",   // relays of 6to4
	"192.168.0.0/16",   // private
	"198.18.0.0/15",    // benchmarks
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"224.0.0.0/4",      // multicast
	"240.0.0.0/4",      // reserved, and broadcast
	"2001::/23",        // protocol assignments; Teredo, which holds an IPv4 address
	"2001:db8::/32",    // documentation
	"2002::/16",        // 6to4, which holds an IPv4 address
	"3fff::/20",        // documentation
)

// global is the part of IPv6 that is given out for the public internet. Outside of it lie this machine, link-local, site-local,
// unique local and multicast addresses, and the forms that hold an IPv4 address: compatible, translated (64:ff9b::/96 and
// 64:ff9b:1::/48).
var global = netip.MustParsePrefix("2000::/3")

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

// Public reports whether an address belongs to the public internet.
func Public(ip netip.Addr) bool {
	if !ip.IsValid() || ip.Zone() != "" {
		return false
	}
	ip = ip.Unmap() // ::ffff:10.0.0.1 is 10.0.0.1 to whoever dials it
	if ip.Is6() && (!global.Contains(ip) || tunnelled(ip)) {
		return false
	}
	for _, p := range reserved {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

// tunnelled reports an ISATAP address: an IPv4 address behind 0:5efe or 200:5efe, within anybody's prefix.
func tunnelled(ip netip.Addr) bool {
	b := ip.As16()
	return (b[8] == 0 || b[8] == 2) && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}
