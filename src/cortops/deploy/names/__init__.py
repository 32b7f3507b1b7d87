"""Records of DNS zones that we keep: zone files and octoDNS folders, read and changed without touching what others wrote."""
