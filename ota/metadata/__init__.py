"""What signed metadata is; shared by client and publisher."""
