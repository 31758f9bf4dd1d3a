"""MQTT 5 over mutual TLS: ``link`` is what others call, only ``session`` knows paho."""
