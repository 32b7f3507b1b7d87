"""The portal: where the people of an organisation see their usage and look after their keys."""
