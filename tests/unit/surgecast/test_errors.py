from surgecast.errors import ConfigError, first_of


def test_the_first_error_of_nested_groups_is_ours_if_there_is_one() -> None:
    ours = ConfigError("no such rung")
    inner = ExceptionGroup("inner", [ours])
    assert first_of(ExceptionGroup("outer", [ValueError("x"), inner])) is ours
    assert first_of(ours) is ours
    other = KeyError("y")
    assert first_of(ExceptionGroup("outer", [ExceptionGroup("inner", [other])])) is other
