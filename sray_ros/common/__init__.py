"""What several nodes share: messages, parameters, topics, poses, errors, the executor."""
