package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/ocellus/ocellus/codec/envelope"
)

// brokerFlag is the broker over which to reach a camera.
type brokerFlag struct {
	Broker   string `placeholder:"URL" help:"Ask over an MQTT broker: mqtts://HOST:PORT, mqtt://HOST:PORT."`
	CA       string `placeholder:"FILE" help:"PEM of the authority whose certificate the broker must have."`
	Username string `help:"At the broker."`
	Password string `env:"OCELLUS_BROKER_PASSWORD" help:"At the broker."`
}

const brokerPatience = 30 * time.Second

// brokerCarrier is a broker.
type brokerCarrier struct {
	client  mqtt.Client
	back    answers
	replies chan []byte // full: the oldest question is not interested any more
}

// connect connects and listens for answers.
func (f *brokerFlag) connect(_ context.Context, back answers) (*brokerCarrier, error) {
	b := &brokerCarrier{back: back, replies: make(chan []byte, 16)}
	var err error
	b.client, err = f.subscribe(func(m mqtt.Message) {
		select {
		case b.replies <- m.Payload():
		default:
		}
	}, back.topic)
	return b, err
}

// subscribe connects, and brings what comes at some topics, one message after the other. heard must not block.
func (f *brokerFlag) subscribe(heard func(mqtt.Message), topics ...envelope.Topic) (mqtt.Client, error) {
	secure, err := f.tls()
	if err != nil {
		return nil, err
	}
	o := mqtt.NewClientOptions().AddBroker(pahoURL(f.Broker)).SetClientID("").SetCleanSession(true).SetTLSConfig(secure).
		SetUsername(f.Username).SetPassword(f.Password).SetAutoReconnect(false).SetConnectTimeout(brokerPatience).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { heard(m) })
	client := mqtt.NewClient(o)
	if err := finished(client.Connect()); err != nil {
		return nil, &fault{exitUnreachable, fmt.Errorf("%s: %w", f.Broker, err)}
	}
	for some := range slices.Chunk(topics, atOnce) {
		if err := listen(client, some); err != nil {
			client.Disconnect(0)
			return nil, &fault{exitUnreachable, fmt.Errorf("%s: %w", f.Broker, err)}
		}
	}
	return client, nil
}

// atOnce is how many topics one packet subscribes to; some brokers take no more.
const atOnce = 8

// listen subscribes. A broker may say no to one of many, and go on (MQTT 3.1.1, 3.9.3).
func listen(client mqtt.Client, topics []envelope.Topic) error {
	filters := map[string]byte{}
	for _, topic := range topics {
		filters[string(topic)] = 1
	}
	t := client.SubscribeMultiple(filters, nil)
	if err := finished(t); err != nil {
		return err
	}
	if granted, ok := t.(*mqtt.SubscribeToken); ok {
		for topic, qos := range granted.Result() {
			if qos > 2 {
				return fmt.Errorf("it does not let us listen to %s: look at its access list", topic)
			}
		}
	}
	return nil
}

// pahoURL spells a broker as the MQTT library has it.
func pahoURL(broker string) string {
	return strings.Replace(strings.Replace(broker, "mqtts://", "ssl://", 1), "mqtt://", "tcp://", 1)
}

func (f *brokerFlag) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA == "" {
		return config, nil
	}
	raw, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, err
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(raw) {
		return nil, &fault{exitUsage, fmt.Errorf("%s: want a certificate in PEM", f.CA)}
	}
	return config, nil
}

func finished(t mqtt.Token) error {
	if !t.WaitTimeout(brokerPatience) {
		return errors.New("no answer in time")
	}
	return t.Error()
}

// carry publishes, and waits for the last answer. The broker may bring anything: what is not the answer is left.
func (b *brokerCarrier) carry(ctx context.Context, topic envelope.Topic, raw []byte, id [envelope.IDSize]byte) (
	envelope.Reply, error,
) {
	if err := finished(b.client.Publish(string(topic), 1, false, raw)); err != nil {
		return envelope.Reply{}, &fault{exitUnreachable, err}
	}
	late := time.NewTimer(doorPatience)
	defer late.Stop()
	for {
		select {
		case reply := <-b.replies:
			r, err := b.back.open(reply, id)
			if err == nil && r.Code != "accepted" {
				return r, nil
			}
			if err == nil {
				b.back.progress(r)
				late.Reset(doorPatience)
			}
		case <-late.C:
			return envelope.Reply{}, &fault{exitUnreachable,
				errors.New("no answer: is the camera connected to this broker, does it know your key?")}
		case <-ctx.Done():
			return envelope.Reply{}, ctx.Err()
		}
	}
}

func (b *brokerCarrier) close() { b.client.Disconnect(250) }
