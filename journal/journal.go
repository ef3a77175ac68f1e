// Package journal feeds webhooks from the journal of the Software Heritage archive: it reads the Kafka
// topics of origins and visit statuses and sends an event for each record.
package journal
