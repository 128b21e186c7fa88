/* The relay process: DERP and STUN, for whoever the realm knows.
 *
 * It talks to the realm through RUNDIR/realm.sock, where the process `realm` of this machine is (a
 * standby passes requests on to the leader):
 *
 *	PUT /v1/relays/NAME  {"region": 900, "code": "hanse", "title": "Hanse", "host": "192.0.2.7",
 *	                      "ipv4": "192.0.2.7", "ipv6": "none", "cert_name": "sha256-raw:HEX",
 *	                      "relay_port": 8643, "stun_port": 3478, "second_stun_port": 3479,
 *	                      "is_said": true}
 *
 *		This relay is there, under the machine's name.  2xx: it is in the map from now on.
 *		409: another relay has this region; the next number is tried.  With
 *		"is_shared": true (--region) it may: relays that are told so know of each other's
 *		clients.  403: an administrator removed it.  Anything else is tried again.
 *		Who is no relay says the same without "is_said", and is believed.
 *		ipv4 and ipv6 are numbers, "none", or "" where `host` is to be resolved.
 *
 * With --login-server the realm is elsewhere: whom to let in is asked there, and the relay says
 * the word with which an administrator announces it (`hanse relay add`).
 *
 *	POST /verify  {"NodePublic": "nodekey:HEX", "Source": "192.0.2.9"}  ->  {"Allow": true}
 *
 *		May the owner of this key use relays?  A key that the realm once allowed goes on
 *		being admitted while nobody answers; it is forgotten when the realm refuses it. */
#ifndef SERVER_RELAY_ROLE_H
#define SERVER_RELAY_ROLE_H

enum {
	RELAY_ANNOUNCE_MS = 5 * 60 * 1000,
	RELAY_ANNOUNCE_AGAIN_MS = 1000, /* after a failure; twice as long after each more, */
	RELAY_ANNOUNCE_EARLY_MS = 4000, /* until then nobody hears of failures */
	RELAY_ANNOUNCE_AGAIN_MS_MAX = 30 * 1000,
};

#endif
