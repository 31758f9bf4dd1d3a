"""What a byte costs on the way out: told by the configuration, or by NetworkManager."""
