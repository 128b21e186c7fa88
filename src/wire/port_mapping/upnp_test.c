#include "wire/port_mapping/upnp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define IP_1 "urn:schemas-upnp-org:service:WANIPConnection:1"

static struct upnp_place described_at(const char *path)
{
	struct upnp_place at = { endpoint_ip4(192, 168, 1, 1, 5000), "" };

	memcpy(at.path, path, strlen(path) + 1);
	return at;
}

static void assert_place(const struct upnp_place *at, uint16_t port, const char *path)
{
	struct endpoint wanted = endpoint_ip4(192, 168, 1, 1, port);

	assert_true(endpoint_equal(&at->address, &wanted));
	assert_string_equal(at->path, path);
}

static void test_a_gateway_says_where_it_is_described(void **state)
{
	struct upnp_place at;

	(void)state;
	assert_int_equal(upnp_read_found(SLICE("HTTP/1.1 200 OK\r\n"
					       "CACHE-CONTROL: max-age=120\r\n"
					       "st: urn:schemas-upnp-org:device:"
					       "InternetGatewayDevice:1\r\n"
					       "Location:  http://192.168.1.1:5000/rootDesc.xml\r\n"
					       "EXT:\r\n\r\n"),
					 &at),
			 OK);
	assert_place(&at, 5000, "/rootDesc.xml");
	assert_int_equal(upnp_read_found(SLICE("HTTP/1.1 200 OK\nST:urn:schemas-upnp-org:device:"
					       "InternetGatewayDevice:2\nLOCATION:"
					       "http://192.168.1.1"),
					 &at),
			 OK);
	assert_place(&at, 80, "/");
}

static void test_what_is_no_gateway_of_ours_is_not_believed(void **state)
{
	static const char *const locations[] = {
		"http://router.example/x",	"https://192.168.1.1/x",  "http://[::1]:80/x",
		"http://192.168.1.1:99999/x",	"http://224.0.0.1/x",	  "http://192.168.1.1/a b",
		"http://192.168.1.1:5000\\@h/", "http://192.168.1.1/\tx", "",
	};
	struct upnp_place at;
	char packet[512];

	(void)state;
	for (size_t i = 0; i < sizeof(locations) / sizeof(locations[0]); i++) {
		snprintf(packet, sizeof(packet),
			 "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice"
			 ":1\r\nLOCATION: %s\r\n\r\n",
			 locations[i]);
		assert_int_equal(upnp_read_found(slice_from(packet), &at), ERR_INVALID);
	}
	assert_int_equal(upnp_read_found(SLICE("HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\n"
					       "LOCATION: http://192.168.1.1/x\r\n\r\n"),
					 &at),
			 ERR_INVALID);
	assert_int_equal(upnp_read_found(SLICE("M-SEARCH * HTTP/1.1\r\n"), &at), ERR_INVALID);
}

static void test_the_best_service_is_found_in_a_description(void **state)
{
	struct upnp_place at = described_at("/a/desc.xml");
	struct upnp_service s;

	(void)state;
	assert_int_equal(
		upnp_read_description(
			SLICE("<?xml version=\"1.0\"?>\n<root xmlns=\"urn:x\"><device><serviceList>"
			      "<service><serviceType>urn:schemas-upnp-org:service:"
			      "WANPPPConnection:1</serviceType><controlURL>/ppp</controlURL>"
			      "</service><service>"
			      "<serviceType>\n " IP_1 " \n</serviceType>"
			      "<eventSubURL/><controlURL>/ctl?a=1&amp;b=2</controlURL></service>"
			      "<service><serviceType>urn:other</serviceType>"
			      "<controlURL>/other</controlURL></service>"
			      "</serviceList></device></root>"),
			&at, &s),
		OK);
	assert_string_equal(s.type, IP_1);
	assert_place(&s.at, 5000, "/ctl?a=1&b=2");
	assert_int_equal(upnp_read_description(SLICE("<service><serviceType>" IP_1
						     "</serviceType><controlURL>ctl</controlURL>"
						     "</service>"),
					       &at, &s),
			 OK);
	assert_place(&s.at, 5000, "/a/ctl");
	assert_int_equal(upnp_read_description(SLICE("<URLBase>http://192.168.1.1:8080/</URLBase>"
						     "<service><serviceType>" IP_1
						     "</serviceType><controlURL>/c</controlURL>"
						     "</service>"),
					       &at, &s),
			 OK);
	assert_place(&s.at, 8080, "/c");
}

static void test_a_service_elsewhere_is_not_asked(void **state)
{
	struct upnp_place at = described_at("/desc.xml");
	struct upnp_service s;

	(void)state;
	assert_int_equal(upnp_read_description(SLICE("<service><serviceType>" IP_1
						     "</serviceType><controlURL>"
						     "http://192.168.1.7/c</controlURL></service>"),
					       &at, &s),
			 ERR_INVALID);
	assert_int_equal(upnp_read_description(SLICE("<URLBase>http://10.0.0.1/</URLBase><service>"
						     "<serviceType>" IP_1
						     "</serviceType><controlURL>/c</controlURL>"
						     "</service>"),
					       &at, &s),
			 ERR_INVALID);
	assert_int_equal(upnp_read_description(SLICE("<service><serviceType>" IP_1
						     "</serviceType><controlURL>/c\r\nX: y"
						     "</controlURL></service>"),
					       &at, &s),
			 ERR_INVALID);
	assert_int_equal(upnp_read_description(SLICE("<service><serviceType>urn:no</serviceType>"
						     "<controlURL>/c</controlURL></service>"),
					       &at, &s),
			 ERR_NOT_FOUND);
	assert_int_equal(upnp_read_description(SLICE("<<<"), &at, &s), ERR_NOT_FOUND);
}

static void test_requests_name_what_is_wanted(void **state)
{
	struct upnp_service service = { IP_1, described_at("/ctl") };
	struct upnp_mapping m = { endpoint_ip4(192, 168, 1, 2, 41641), 41642, 7200 };
	char header[UPNP_HEADERS_BYTES];
	struct buf body;

	(void)state;
	buf_init(&body);
	upnp_request(UPNP_ADD, &service, &m, &body, header);
	assert_string_equal(header, "SOAPAction: \"" IP_1 "#AddPortMapping\"\r\n");
	buf_add_u8(&body, 0);
	assert_non_null(strstr((char *)body.data, "<u:AddPortMapping xmlns:u=\"" IP_1 "\">"));
	assert_non_null(strstr((char *)body.data, "<NewExternalPort>41642</NewExternalPort>"));
	assert_non_null(strstr((char *)body.data, "<NewInternalPort>41641</NewInternalPort>"));
	assert_non_null(strstr((char *)body.data, "<NewInternalClient>192.168.1.2</"));
	assert_non_null(strstr((char *)body.data, "<NewLeaseDuration>7200</NewLeaseDuration>"));
	buf_clear(&body);
	upnp_request(UPNP_DELETE, &service, &m, &body, header);
	buf_add_u8(&body, 0);
	assert_null(strstr((char *)body.data, "NewInternalPort"));
	assert_non_null(strstr((char *)body.data, "<NewProtocol>UDP</NewProtocol>"));
	buf_done(&body);
}

static void test_answers_say_the_address_or_why_not(void **state)
{
	struct endpoint address, wanted = endpoint_ip4(203, 0, 113, 9, 0);

	(void)state;
	assert_int_equal(
		upnp_read_address(SLICE("<s:Envelope><s:Body><u:GetExternalIPAddressResponse "
					"xmlns:u=\"x\"><NewExternalIPAddress>203.0.113.9"
					"</NewExternalIPAddress></u:GetExternalIPAddressResponse>"),
				  &address),
		OK);
	assert_true(endpoint_equal(&address, &wanted));
	assert_int_equal(upnp_read_address(SLICE("<NewExternalIPAddress/>"), &address),
			 ERR_INVALID);
	assert_int_equal(upnp_read_address(SLICE("<NewExternalIPAddress>::1</x>"), &address),
			 ERR_INVALID);
	assert_int_equal(upnp_read_error(
				 SLICE("<UPnPError xmlns=\"x\"><errorCode>718</errorCode>")),
			 UPNP_TAKEN);
	assert_int_equal(upnp_read_error(SLICE("<errorCode>-1</errorCode>")), 0);
	assert_int_equal(upnp_read_error(SLICE("no")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_gateway_says_where_it_is_described),
		cmocka_unit_test(test_what_is_no_gateway_of_ours_is_not_believed),
		cmocka_unit_test(test_the_best_service_is_found_in_a_description),
		cmocka_unit_test(test_a_service_elsewhere_is_not_asked),
		cmocka_unit_test(test_requests_name_what_is_wanted),
		cmocka_unit_test(test_answers_say_the_address_or_why_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
