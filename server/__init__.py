"""The registry, the issuer, the lists and the bridge between MQTT and the database."""
