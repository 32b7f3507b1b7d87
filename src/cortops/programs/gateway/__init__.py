"""The gateway: key -> model -> pool -> member -> stream -> usage, for OpenAI clients."""
