# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# The examples of a manual page that are C, as a file to be compiled behind man.h. What
# has a semicolon is C: functions stay as they are, and the rest of an example becomes
# one.
/^\.EX/ {
	in_example = 1
	body = ""
	next
}
/^\.EE/ {
	in_example = 0
	if (body ~ /;/)
		printf "int example%d(void)\n{\n%sreturn 0;\n}\n", ++nr, body
}
# Something is left out there.
!in_example || $0 == "\\&..." {
	next
}
{
	gsub(/\\-/, "-")
	gsub(/\\e/, "\\")
}
/^static .*\)$/ {
	in_function = 1
}
in_function {
	print
}
!in_function {
	body = body $0 "\n"
}
/^}/ {
	in_function = 0
}
