"""The registry: a catalogue of the models in a store, over HTTP, with access control."""
