"""What families of trees share below the neutral form: building it from tables of nodes, scoring rows, the trained model."""
