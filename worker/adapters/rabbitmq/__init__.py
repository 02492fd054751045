"""The broker: topology as declared data, deliveries in, confirmed messages out. Only app imports it."""
