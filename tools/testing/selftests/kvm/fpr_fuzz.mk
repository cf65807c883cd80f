# SPDX-License-Identifier: GPL-2.0-only
#
# Behind upstream's Makefile, which builds each program from one file: those of fpr_fuzz besides
# fpr_fuzz.c. scripts/build-selftests puts it there.

fpr_fuzz_objects := $(addprefix $(OUTPUT)/,fpr_fuzz_calls.o fpr_fuzz_results.o)

$(fpr_fuzz_objects): $(OUTPUT)/%.o: %.c $(GEN_HDRS)
	$(CC) $(CFLAGS) $(CPPFLAGS) $(TARGET_ARCH) -c $< -o $@

$(OUTPUT)/fpr_fuzz: LDLIBS := $(fpr_fuzz_objects) $(LDLIBS)
$(OUTPUT)/fpr_fuzz: $(fpr_fuzz_objects)
