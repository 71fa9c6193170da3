"""models/learned.py: one network written beside the other, each with what it was learned from."""

from scripts.learned_module import HEAD, with_network


def test_a_network_takes_the_place_of_its_predecessor():
    both = with_network(with_network("", "ONE", "1 2 3\nAAAA", "5 cases"), "TWO", "1 2 3\nBBBB", "6 cases")
    assert both == (
        HEAD
        + '\n# Learned from 5 cases.\nONE = """1 2 3\nAAAA"""\n'
        + '\n# Learned from 6 cases.\nTWO = """1 2 3\nBBBB"""\n'
    )
    again = with_network(both, "ONE", "1 2 3\nCCCC", "7 cases")
    assert again == both.replace("AAAA", "CCCC").replace("5 cases", "7 cases")


def test_a_file_that_does_not_say_what_it_was_learned_from_will():
    assert with_network('"""Head."""\n\nONE = """1 2\nAAAA"""\n', "ONE", "1 2\nBBBB", "5 cases") == (
        '"""Head."""\n\n# Learned from 5 cases.\nONE = """1 2\nBBBB"""\n'
    )
