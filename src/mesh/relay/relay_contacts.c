/* Who is told that whom is gone: a client that got packets from a key has state for it, and would
 * otherwise wait for its timers. */
#include <assert.h>

#include "mesh/relay/relay_private.h"

static struct slice key_of(const struct contact *contact)
{
	return (struct slice) { (const uint8_t *)&contact->key, sizeof(contact->key) };
}

static void remove_contact(struct relay *relay, struct contact *contact)
{
	struct relay_client *receiver = contact->key.receiver;
	void *removed = map_remove(&relay->contacts, key_of(contact));

	assert(removed == contact);
	if (receiver->last_sender == contact->key.sender)
		receiver->last_sender = NULL;
	receiver->contact_count--;
	list_remove(&contact->of_sender);
	list_remove(&contact->of_receiver);
	memory_free(contact);
	relay->counts.contacts--;
}

void relay_note_contact(struct relay_client *receiver, struct relay_peer *sender)
{
	struct relay *relay = receiver->relay;
	struct contact probe = { .key = { receiver, sender } };

	if (receiver->last_sender == sender)
		return;
	if (!map_get(&relay->contacts, key_of(&probe))) {
		if (receiver->contact_count == RELAY_CONTACTS_MAX)
			remove_contact(relay, CONTAINER(receiver->contacts.next, struct contact,
							of_receiver));
		struct contact *contact = NEW(struct contact);
		contact->key = probe.key;
		map_put(&relay->contacts, key_of(contact), contact);
		list_add(&sender->contacts, &contact->of_sender);
		list_add(&receiver->contacts, &contact->of_receiver);
		receiver->contact_count++;
		relay->counts.contacts++;
	}
	receiver->last_sender = sender;
}

void relay_forget_receiver(struct relay_client *receiver)
{
	LIST_EACH (&receiver->contacts, struct contact, of_receiver, contact)
		remove_contact(receiver->relay, contact);
}

void relay_tell_gone(struct relay *relay, struct relay_peer *sender)
{
	struct buf note;

	if (list_is_empty(&sender->contacts))
		return;
	buf_init(&note);
	derp_add_peer_gone(&note, &sender->key, DERP_GONE_DISCONNECTED);
	LIST_EACH (&sender->contacts, struct contact, of_sender, contact) {
		relay_say(contact->key.receiver, buf_slice(&note));
		relay->counts.gone_notes++;
		remove_contact(relay, contact);
	}
	buf_done(&note);
}
