"""What the layers of a service lie on: a base that is there, or Cloche's own, made here."""
