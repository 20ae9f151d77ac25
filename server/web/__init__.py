"""The pages of residents and officers and the API for apps: one ASGI application, in a process of its own beside the bridge."""
