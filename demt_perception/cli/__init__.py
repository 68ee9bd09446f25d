"""The command line: ``demt <verb>``, one small file a verb."""
