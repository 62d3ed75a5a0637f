package hass

import (
	"encoding/json"
	"slices"

	"github.com/ocellus/ocellus/codec/envelope"
)

// entity is one of Home Assistant's. Its keys are the abbreviations of the reference, where there are any.
type entity map[string]any

// Discovery is the device's message: an entity for each thing that this camera really has.
func (b *Bridge) Discovery(camera [envelope.IDSize]byte, f Facts) []byte {
	me := id(camera)
	device := entity{"ids": []string{me}, "name": "Camera", "mf": "Ocellus", "mdl": b.Model, "sw": b.Release}
	if b.Page != "" {
		device["cu"] = b.Page
	}
	entities := b.entities(camera, f)
	for key, e := range entities {
		e["unique_id"] = me + "_" + key
		if key != "connectivity" {
			e["availability"] = []entity{{
				"topic": string(envelope.StateTopic(camera)), "value_template": "{{ value_json.state }}",
				"payload_available": "online", "payload_not_available": "offline",
			}}
		}
	}
	raw, _ := json.Marshal(entity{ // texts and numbers always can
		"dev": device, "o": entity{"name": "ocellus", "sw": b.Release}, "cmps": entities, "qos": 1,
	})
	return raw
}

func (b *Bridge) entities(camera [envelope.IDSize]byte, f Facts) map[string]entity {
	at := base(camera)
	set := func(a Action) string { return at + string(a) + "/set" }
	all := map[string]entity{
		"camera":   {"p": "camera", "name": "Snapshot", "topic": at + "picture"},
		"snapshot": {"p": "button", "name": "Take snapshot", "command_topic": set(Snapshot), "payload_press": "press"},
		"restart": {"p": "button", "name": "Restart", "command_topic": set(Restart), "payload_press": "press",
			"device_class": "restart", "entity_category": "config"},
		"bitrate": {"p": "select", "name": "Bit rate", "command_topic": set(Bitrate), "state_topic": at + "state",
			"value_template": "{{ value_json.bitrate }}", "options": bitrates(f.Bitrate), "entity_category": "config"},
		"connectivity": {"p": "binary_sensor", "name": "Connection", "device_class": "connectivity",
			"state_topic": string(envelope.StateTopic(camera)), "value_template": "{{ value_json.state }}",
			"payload_on": "online", "payload_off": "offline", "entity_category": "diagnostic"},
		"problem": {"p": "binary_sensor", "name": "Problem", "device_class": "problem", "state_topic": at + "state",
			"value_template": "{{ 'ON' if value_json.problem else 'OFF' }}", "entity_category": "diagnostic"},
		"uptime":  figure(at, "Uptime", "uptime", "duration", "s", "total_increasing"),
		"viewers": figure(at, "Viewers", "viewers", "", "", "measurement"),
		"egress":  figure(at, "Pictures sent", "egress", "data_size", "B", "total_increasing"),
	}
	if b.Lamp {
		all["identify"] = entity{"p": "button", "name": "Identify", "command_topic": set(Identify), "payload_press": "press",
			"device_class": "identify", "entity_category": "diagnostic"}
	}
	if f.Signal != nil {
		all["signal"] = figure(at, "Signal", "signal", "signal_strength", "dBm", "measurement")
	}
	if f.Temperature != nil {
		all["temperature"] = figure(at, "Temperature", "temperature", "temperature", "°C", "measurement")
	}
	if f.Storage != nil {
		all["storage"] = figure(at, "Free storage", "storage", "data_size", "B", "measurement")
	}
	if f.Update != nil {
		all["update"] = entity{"p": "update", "name": "Firmware", "device_class": "firmware", "entity_category": "config",
			"state_topic": at + "state", "value_template": "{{ value_json.update | to_json }}",
			"command_topic": set(Install), "payload_install": "install"}
	}
	return all
}

// figure is a diagnostic sensor of one of the state's figures.
func figure(at, name, key, class, unit, state string) entity {
	e := entity{"p": "sensor", "name": name, "state_topic": at + "state", "value_template": "{{ value_json." + key + " }}",
		"state_class": state, "entity_category": "diagnostic"}
	if class != "" {
		e["device_class"] = class
	}
	if unit != "" {
		e["unit_of_measurement"] = unit
	}
	return e
}

// bitrates are the choices, with the present one among them.
func bitrates(now string) []string {
	all := []string{"500k", "1M", "1500k", "2M", "3M", "4M", "6M", "8M"}
	if now != "" && !slices.Contains(all, now) {
		all = append(all, now)
	}
	return all
}
